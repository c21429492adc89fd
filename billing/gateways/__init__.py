"""Payment gateways: one package each, all behind the protocol in `base`."""
