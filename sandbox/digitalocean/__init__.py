"""The DigitalOcean stand-in: droplets and their actions, as the contract describes them."""

from sandbox.digitalocean.service import build

__all__ = ["build"]
