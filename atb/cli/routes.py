"""Route of commands to an exchange: address, proxy and certificates as the settings say."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from atb.config import Settings
    from atb.data.providers.ccxt_client import Route


def route_to(exchange_id: str, settings: "Settings") -> "Route":
    """Return the route to an exchange: proxy and certificates are for all of them, the address is the configured one's alone."""
    from atb.data.providers.ccxt_client import Route

    chosen = settings.exchange
    base_url = chosen.base_url if exchange_id.strip().lower() == chosen.id else None
    return Route(base_url or None, chosen.proxy or None, chosen.ca_file)


def route_to_archive(settings: "Settings") -> "Route":
    """Return the route to an exchange's archive of files."""
    from atb.data.providers.ccxt_client import Route

    return Route(settings.data.archive_url or None, settings.exchange.proxy or None, settings.exchange.ca_file)


def route_to_sentiment(settings: "Settings") -> "Route":
    """Return the route to the Fear & Greed index."""
    from atb.data.providers.ccxt_client import Route

    return Route(settings.data.sentiment_url or None, settings.exchange.proxy or None, settings.exchange.ca_file)
