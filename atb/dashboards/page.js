"use strict";
// Says on the page when the server does not answer, or the login is over: a page that stays as it was looks like a quiet market.
(() => {
  const TRIES = "_dash-update-component", SILENT_MS = 4000;
  let answered = Date.now(), over = false;

  function said(text, link) {
    let box = document.getElementById("connection");
    if (!text) { if (box) box.remove(); return; }
    if (!box) {
      box = document.createElement("div");
      box.id = "connection"; box.className = "notice bad"; box.setAttribute("role", "alert");
      document.body.prepend(box);
    }
    if (box.dataset.text === text) return;
    box.dataset.text = text; box.textContent = text + " ";
    if (link) {
      const anchor = document.createElement("a");
      anchor.href = link; anchor.textContent = "Sign in"; box.append(anchor);
    }
  }

  const plain = window.fetch.bind(window);
  window.fetch = async (resource, options) => {
    const address = typeof resource === "string" ? resource : resource.url ?? String(resource);
    const answer = await plain(resource, options);
    if (address.includes(TRIES)) {
      if (answer.ok || answer.status === 204) { answered = Date.now(); over = false; said(""); }
      else if (answer.status === 401 || answer.status === 400) {
        over = true;
        said("You are signed out; what is below is old.", "/login?next=" + encodeURIComponent(location.pathname + location.search));
      }
    }
    return answer;
  };
  setInterval(() => {
    if (!over && !document.hidden && Date.now() - answered > SILENT_MS)
      said("Stale since " + new Date(answered).toISOString().slice(0, 19).replace("T", " ") + " UTC: the server does not answer.");
  }, 500);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) answered = Math.max(answered, Date.now() - 1000); });
})();
