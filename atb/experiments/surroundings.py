"""The environment of a notebook's kernel: built from a list of names, never inherited.

A notebook may be code that the user did not write, and its outputs are kept and shown. The variables a kernel needs (paths,
language, threads, certificates, settings of atb that are not secret) are listed here; others that your notebooks need are listed
in the setting `notebooks.environment`. The account's keys are never passed on: research needs no account.
"""

from collections.abc import Iterable, Mapping

from atb.config.settings import SECRET_KEYS
from atb.config.sources import variable_name
from atb.environment import PREFIX
from atb.redaction import is_secret_name
from atb.redaction.addresses import without_password
from atb.redaction.discovery import find_secrets

WITHHELD = frozenset(variable_name(key) for key in SECRET_KEYS)
_NAMES = (
    "PATH HOME USER LOGNAME SHELL LANG LANGUAGE TZ TMPDIR TEMP TMP TERM COLORTERM NO_COLOR COLUMNS LINES PWD CI "
    "VIRTUAL_ENV CONDA_PREFIX CONDA_DEFAULT_ENV PYENV_ROOT PYENV_VERSION LD_LIBRARY_PATH DYLD_LIBRARY_PATH LD_PRELOAD "
    "PYTHONPATH PYTHONHOME PYTHONHASHSEED PYTHONUTF8 PYTHONIOENCODING PYTHONWARNINGS PYTHONUNBUFFERED PYTHONNOUSERSITE "
    "PYTHONDONTWRITEBYTECODE PYTHONPYCACHEPREFIX PYTHONFAULTHANDLER PYTHONDEVMODE PYTHONSAFEPATH PYTHONUSERBASE "
    "SSL_CERT_FILE SSL_CERT_DIR REQUESTS_CA_BUNDLE CURL_CA_BUNDLE HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY "
    "MPLBACKEND MPLCONFIGDIR IPYTHONDIR CUDA_VISIBLE_DEVICES SOURCE_DATE_EPOCH DO_NOT_TRACK "
    "SYSTEMROOT WINDIR COMSPEC PATHEXT APPDATA LOCALAPPDATA PROGRAMDATA USERPROFILE"
)
ALLOWED = frozenset(_NAMES.split())
PREFIXES = ("LC_", "XDG_", "JUPYTER_", "NUMBA_", "OMP_", "OPENBLAS_", "MKL_", "VECLIB_", "NUMEXPR_", "PLOTLY_",
            "PYDEVD_", "ORT_", "ATB_TEST_")  # fmt: skip
# Of every kernel of a run, whatever its environment says.
ALWAYS = {
    "PLOTLY_RENDERER": "plotly_mimetype",
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    "JUPYTER_PREFER_ENV_PATH": "1",  # this environment's `python3`, not another one of that name
}


def kernel_environment(given: Mapping[str, str], declared: Iterable[str] = ()) -> dict[str, str]:
    """Return the part of an environment that a kernel gets: listed variables without secrets, and `declared` ones.

    A setting of atb that is an address is passed on without its password: then a server says who is not let in, where a
    missing address would mean another database.
    """
    wanted = frozenset(declared) - WITHHELD
    found = {name: value for name, value in given.items() if name in wanted or _is_listed(name, value)}
    for name, value in given.items():
        if name.upper().startswith(PREFIX) and name not in WITHHELD and name not in wanted:
            found[name] = without_password(value)
    return found


def secrets_of(given: Mapping[str, str], names: Iterable[str]) -> tuple[str, ...]:
    """Return the secrets in variables of these names: whole values of those named like secrets, and secrets inside others."""
    found = {name: given[name] for name in names if name in given}
    whole = [value for name, value in found.items() if is_secret_name(name)]
    return (*whole, *(secret for value in found.values() for secret in find_secrets(value)))


def _is_listed(name: str, value: str) -> bool:
    listed = name.upper() in ALLOWED or name.upper().startswith(PREFIXES)
    return listed and not is_secret_name(name) and not ("@" in value and find_secrets(value))
