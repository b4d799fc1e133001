"""atb.data: a light import with everything a notebook needs."""

import subprocess
import sys

import atb.data


def test_every_exported_name_is_there():
    assert sorted(atb.data.__all__) == atb.data.__all__
    assert all(hasattr(atb.data, name) for name in atb.data.__all__)


def test_importing_it_loads_no_exchange_server_or_research_package():
    heavy = ["ccxt", "aiohttp", "vectorbt", "papermill", "plotly", "sklearn", "IPython", "sqlalchemy", "click"]
    code = f"import sys, atb.data; print(*[name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
