"""Postdate: self-hosted scheduled messages, spoken to in Twilio's API."""

__version__ = "0.1.0"
