// A JupyterLab extension as it stands, without a build: a launcher card for each notebook of the folder that Lab was opened on, and
// figures whose text has the colours of Lab's theme, where the one grey that fits every page is pale.
// Lab hands over its own modules by `init`, and asks for the plugin by `get`.
(() => {
  let modules;
  const shared = async name => {
    const versions = Object.values(modules[name]);
    return (await versions[versions.length - 1].get())();
  };
  const GREY = "rgb(107, 118, 132)"; // of atb.reports.theme
  const LOOKS = `.js-plotly-plot text[style*="${GREY}"] { fill: var(--jp-ui-font-color1) !important; }
    .js-plotly-plot :is(tspan[style*="${GREY}"], tspan[style*="#6B7684" i]) { fill: var(--jp-ui-font-color2) !important; }
    .jp-OutputArea-output pre { word-break: normal; overflow-wrap: anywhere; }`; // lines break between words
  const title = path => {
    const [, number, name] = /^(?:(\d+)_)?(.*)\.ipynb$/.exec(path);
    const words = name.replace(/_/g, " ");
    return `${number === undefined ? "" : `${Number(number)} · `}${words.charAt(0).toUpperCase()}${words.slice(1)}`;
  };
  const addCards = async (app, launcher, icon) => {
    const folder = await app.serviceManager.contents.get("");
    const notebooks = folder.content.filter(item => item.type === "notebook").sort((a, b) => a.path.localeCompare(b.path));
    notebooks.forEach(({ path }, rank) => {
      const command = `atb:open:${path}`;
      if (app.commands.hasCommand(command)) return;
      app.commands.addCommand(command, {
        label: title(path),
        caption: `Open ${path}`,
        icon,
        execute: () => app.commands.execute("docmanager:open", { path, factory: "Notebook" }),
      });
      launcher.add({ command, category: "atb", rank });
    });
  };
  const get = async () => {
    const { ILauncher } = await shared("@jupyterlab/launcher");
    const { notebookIcon } = await shared("@jupyterlab/ui-components");
    const plugin = {
      id: "atb:launcher",
      description: "A launcher card for each notebook, and figures in the colours of the theme.",
      autoStart: true,
      optional: [ILauncher],
      activate: (app, launcher) => {
        document.head.append(Object.assign(document.createElement("style"), { textContent: LOOKS }));
        if (launcher !== null) app.started.then(() => addCards(app, launcher, notebookIcon)).catch(console.warn);
      },
    };
    return () => ({ __esModule: true, default: plugin });
  };
  window._JUPYTERLAB = window._JUPYTERLAB || {};
  window._JUPYTERLAB.atb = { init: async scope => { modules = scope; }, get };
})();
