"""What the panel's `url` rule takes for a web address."""

import re
from ipaddress import AddressValueError, IPv6Address

# The panel takes some three hundred schemes; these are the ones a game server has a use for. Refusing an odd one
# here is kinder than a panel refusing it after payment.
SCHEMES = ("http", "https", "ftp", "ftps", "sftp", "git", "ssh", "svn", "ws", "wss", "steam", "udp")

_ESCAPED = "%[0-9A-F]{2}"
_ACCOUNT = rf"(?:(?:[\w.-]|{_ESCAPED})+(?::(?:[\w.-]|{_ESCAPED})+)?@)?"
# At least two characters, the last a letter or digit of any script; or an IPv6 address in brackets.
_HOST = r"(?:\[(?P<ipv6>[^\]]+)\]|[\w.-]+[^\W_]\.?)"
_PATH = rf"(?:/(?:[\w\-.~!$&'()*+,;=:@]|{_ESCAPED})*)*"
_QUERY = rf"(?:\?(?:[\w\-.~!$&'\[\]()*+,;=:@/?]|{_ESCAPED})*)?"
_FRAGMENT = rf"(?:\#(?:[\w\-.~!$&'()*+,;=:@/?]|{_ESCAPED})*)?"
_URL = re.compile(rf"(?:{'|'.join(SCHEMES)})://{_ACCOUNT}{_HOST}(?::[0-9]+)?{_PATH}{_QUERY}{_FRAGMENT}", re.IGNORECASE)


def is_url(text: str) -> bool:
    """Whether the text is one whole address: scheme, host, and perhaps account, port, path, query and fragment."""
    found = _URL.fullmatch(text)
    return found is not None and (found["ipv6"] is None or _is_ipv6(found["ipv6"]))


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except AddressValueError:
        return False
    return True
