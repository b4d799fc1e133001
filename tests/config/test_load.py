"""Settings: which source wins, what is refused, and what follows from the root."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from atb.config import load_settings, load_with_sources
from atb.errors import ConfigError


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project folder with an empty atb.toml, and no root from the environment."""
    monkeypatch.delenv("ATB__DATA__ROOT")
    (tmp_path / "atb.toml").write_text("", encoding="utf-8")
    return tmp_path


def write_all(project: Path, monkeypatch: pytest.MonkeyPatch, *, environment: bool, dotenv: bool, toml: bool) -> None:
    if environment:
        monkeypatch.setenv("ATB__SEED", "2")
    if dotenv:
        (project / ".env").write_text("ATB__SEED=3\nOTHER_PROGRAM=x\n", encoding="utf-8")
    if toml:
        (project / "atb.toml").write_text("seed = 4\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("overrides", "present", "seed", "source"),
    [
        ({"seed": 1}, (True, True, True), 1, "argument"),
        ({}, (True, True, True), 2, "environment variable ATB__SEED"),
        ({}, (False, True, True), 3, ".env"),
        ({}, (False, False, True), 4, "atb.toml"),
        ({}, (False, False, False), 42, "default"),
    ],
)
def test_the_first_source_that_has_a_value_wins_and_is_named(project, monkeypatch, overrides, present, seed, source):
    environment, dotenv, toml = present
    write_all(project, monkeypatch, environment=environment, dotenv=dotenv, toml=toml)
    loaded = load_with_sources(**overrides)
    assert loaded.settings.seed == seed
    assert str(loaded.sources["seed"]) == source


def test_sources_are_merged_key_by_key(project, monkeypatch):
    (project / "atb.toml").write_text('[exchange]\nid = "kraken"\napi_key = "from-file"\n', encoding="utf-8")
    monkeypatch.setenv("ATB__EXCHANGE__API_KEY", "from-environment")
    exchange = load_settings(exchange={"base_url": "http://127.0.0.1:1"}).exchange
    assert (exchange.id, exchange.base_url) == ("kraken", "http://127.0.0.1:1")
    assert exchange.api_key is not None
    assert exchange.api_key.get_secret_value() == "from-environment"


def test_an_empty_variable_is_not_set(project, monkeypatch):
    (project / ".env").write_text("ATB__DATA__VENUE=\n", encoding="utf-8")
    monkeypatch.setenv("ATB__SEED", "")
    loaded = load_with_sources()
    assert (loaded.settings.seed, str(loaded.sources["seed"])) == (42, "default")
    assert loaded.settings.data.venue is None


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("ATB__DATABSE__URL", "ATB__DATABASE__URL"),
        ("ATB__DATA__ROOTS", "ATB__DATA__ROOT"),
        ("ATB_DATA_ROOT", "ATB__DATA__ROOT"),
        ("ATB__EXCHANGE_API_KEY", "ATB__EXCHANGE__API_KEY"),
        ("atb__sead", "ATB__SEED"),
    ],
)
def test_an_unknown_variable_is_refused_with_the_one_that_was_meant(project, monkeypatch, variable, meant):
    monkeypatch.setenv(variable, "1")
    with pytest.raises(ConfigError, match=f"Did you mean '{meant}'"):
        load_settings()


def test_an_unknown_variable_is_refused_even_when_it_is_empty(project, monkeypatch):
    monkeypatch.setenv("ATB__DATA__RUUT", "")
    with pytest.raises(ConfigError, match="ATB__DATA__ROOT"):
        load_settings()


def test_variables_of_the_tests_and_of_a_run_are_not_settings(project, monkeypatch):
    for name in ("ATB_TEST_DATA", "ATB_RUN_DIR", "ATB_RUN_ID", "ATB_TEST_DATABASE_URL"):
        monkeypatch.setenv(name, "x")
    assert load_settings().seed == 42


def test_an_unknown_name_in_dotenv_is_refused(project):
    (project / ".env").write_text("ATB__LOG__LEVL=INFO\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"Unknown setting in \.env.*Did you mean 'ATB__LOG__LEVEL'"):
        load_settings()


def test_a_broken_line_in_dotenv_is_refused_without_showing_its_value(project):
    (project / ".env").write_text("A=1\nATB__EXCHANGE__API_SECRET hunter2\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"Line 2 of \.env is not NAME=value") as caught:
        load_settings()
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[dat]\nroot = 'x'\n", "found 'dat.root'. Did you mean 'data.root'"),
        ("[data]\nrot = 'x'\n", "found 'data.rot'. Did you mean 'data.root'"),
        ("sed = 1\n", "found 'sed'. Did you mean 'seed'"),
        ("[extra]\n", "Unknown setting in atb.toml; found 'extra'"),
        ("data = 'x'\n", "data in atb.toml is a section"),
        ("project = '/'\n", "Unknown setting in atb.toml; found 'project'"),
        ("seed = 1\n[data\n", r"atb.toml is not valid TOML: .*line 2"),
        ("seed.x = 1\n", "found 'seed.x'"),
    ],
)
def test_a_wrong_toml_file_is_refused(project, content, message):
    (project / "atb.toml").write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        load_settings()


def test_an_unknown_argument_is_refused(project):
    with pytest.raises(ConfigError, match=r"Unknown setting in the arguments; found 'data.rooot'"):
        load_settings(data__rooot="x")


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("ATB__SEED", "-1", "greater than or equal to 0"),
        ("ATB__SEED", "many", "valid integer"),
        ("ATB__LOG__LEVEL", "loud", "'DEBUG', 'INFO', 'WARNING' or 'ERROR'"),
        ("ATB__LOG__JSON_LINES", "perhaps", "valid boolean"),
        ("ATB__DATABASE__URL", "localhost", "a database URL such as"),
        ("ATB__EXCHANGE__ID", "Binance!", "pattern"),
        ("ATB__EXCHANGE__BASE_URL", "localhost:80", "pattern"),
    ],
)
def test_a_mistyped_value_names_key_source_value_and_what_is_expected(project, monkeypatch, variable, value, expected):
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigError) as caught:
        load_settings()
    message = str(caught.value)
    key = variable.removeprefix("ATB__").replace("__", ".").lower()
    assert message.startswith(f"{key} from environment variable {variable} is not valid; found {value!r}. Expected: ")
    assert expected in message


def test_all_mistyped_values_are_told_at_once(project, monkeypatch):
    (project / "atb.toml").write_text("seed = true\n[data]\nroot = 3\n", encoding="utf-8")
    monkeypatch.setenv("ATB__LOG__LEVEL", "loud")
    with pytest.raises(ConfigError, match="3 settings are not valid") as caught:
        load_settings()
    for text in ("seed from atb.toml; found True", "data.root from atb.toml; found 3", "log.level from environment"):
        assert text in str(caught.value)


def test_a_mistyped_secret_is_not_shown(project):
    (project / "atb.toml").write_text("[exchange]\napi_secret = 123456789\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"exchange.api_secret from atb.toml is not valid") as caught:
        load_settings()
    assert "123456789" not in str(caught.value)


def test_the_default_root_belongs_to_the_project_wherever_one_stands(project, monkeypatch):
    (project / "notebooks").mkdir()
    monkeypatch.chdir(project / "notebooks")
    settings = load_settings()
    assert settings.data.root == project / "data"
    assert settings.database.url == f"sqlite:///{project}/data/atb.db"
    assert settings.models_root == project / "models"
    assert settings.promoted_root == project / "runners" / "promoted"
    assert (settings.bars_root, settings.runs_root) == (project / "data" / "bars", project / "data" / "runs")


def test_any_other_root_holds_models_and_manifests_too(project):
    settings = load_settings(data={"root": project / "other"})
    assert settings.database.url == f"sqlite:///{project}/other/atb.db"
    assert settings.models_root == project / "other" / "models"
    assert settings.promoted_root == project / "other" / "promoted"


def test_a_relative_root_is_the_projects_in_the_environment_and_the_users_as_an_argument(project, monkeypatch):
    (project / "notebooks").mkdir()
    monkeypatch.chdir(project / "notebooks")
    monkeypatch.setenv("ATB__DATA__ROOT", "scratch")
    assert load_settings().data.root == project / "scratch"
    assert load_settings(data__root="../here").data.root == project / "here"


def test_a_pyproject_of_this_distribution_marks_the_project(tmp_path, monkeypatch):
    monkeypatch.delenv("ATB__DATA__ROOT")
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "atb-workbench"\n', encoding="utf-8")
    (tmp_path / "a" / "pyproject.toml").write_text('[project]\nname = "other"\n', encoding="utf-8")
    monkeypatch.chdir(inner)
    assert load_settings().project == tmp_path


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2", "POSTGRES"])
def test_postgres_urls_name_their_driver(project, scheme):
    url = load_settings(database={"url": f"{scheme}://me:pw@host:5432/atb"}).database.url
    assert url == "postgresql+psycopg2://me:pw@host:5432/atb"


def test_a_relative_sqlite_file_is_the_projects(project, monkeypatch):
    monkeypatch.setenv("ATB__DATABASE__URL", "sqlite:///own.db")
    assert load_settings().database.url == f"sqlite:///{project}/own.db"


def test_settings_cannot_be_changed(project):
    settings = load_settings()
    with pytest.raises(ValidationError, match="frozen"):
        settings.data.root = Path("/")


def test_secrets_are_in_no_text_of_the_settings_and_all_known_for_redaction(project, monkeypatch):
    monkeypatch.setenv("ATB__EXCHANGE__API_KEY", "canary-key")
    monkeypatch.setenv("ATB__EXCHANGE__API_SECRET", "canary-secret")
    monkeypatch.setenv("ATB__DATABASE__URL", "postgres://me:canary%2Fp@ss@host/atb")
    loaded = load_with_sources()
    for text in (repr(loaded.settings), str(loaded.settings), repr(loaded.rows()), repr(loaded)):
        assert "canary" not in text
    assert set(loaded.settings.secrets()) == {"canary-key", "canary-secret", "canary%2Fp@ss", "canary/p@ss"}
    assert "postgresql+psycopg2://me:***@host/atb" in repr(loaded.rows())


def test_nothing_reads_the_world_but_load_settings(project, monkeypatch):
    from atb.config import Settings

    monkeypatch.setenv("ATB__SEED", "7")
    assert Settings().seed == 42


def test_a_project_without_notebooks_uses_those_of_the_installed_checkout(project, repository):
    from atb.config import part_of

    assert part_of(project, "notebooks", "03_backtest.ipynb") == repository / "notebooks" / "03_backtest.ipynb"
    own = project / "notebooks" / "03_backtest.ipynb"
    own.parent.mkdir()
    own.touch()
    assert part_of(project, "notebooks", "03_backtest.ipynb") == own


def test_outside_any_project_the_installed_checkout_is_the_project(tmp_path, monkeypatch, repository):
    from atb.config import find_project

    (tmp_path / "atb.toml").unlink()
    assert find_project() == repository
    monkeypatch.setattr("atb.config.project.NAME", "another")
    assert find_project() == tmp_path
