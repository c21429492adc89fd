"""Currencies: which exist, the smallest and largest charge, the fee."""

from sandbox.stripe import errors

_KNOWN = (
    "usd aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bhd bif bmd bnd bob brl bsd bwp byn bzd cad cdf "
    "chf clp cny cop crc cve czk djf dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gnf gtq gyd hkd hnl htg huf "
    "idr ils inr isk jmd jod jpy kes kgs khr kmf krw kwd kyd kzt lak lbp lkr lrd lsl mad mdl mga mkd mmk mnt mop "
    "mur mvr mwk mxn myr mzn nad ngn nio nok npr nzd omr pab pen pgk php pkr pln pyg qar ron rsd rub rwf sar sbd "
    "scr sek sgd shp sle sos srd std szl thb tjs tnd top try ttd twd tzs uah ugx uyu uzs vnd vuv wst xaf xcd xof "
    "xpf yer zar zmw "
)
KNOWN = frozenset(_KNOWN.split())
_ZERO_DECIMAL = "bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf"
ZERO_DECIMAL = frozenset(_ZERO_DECIMAL.split())
THREE_DECIMAL = frozenset({"bhd", "jod", "kwd", "omr", "tnd"})
WHOLE_UNITS_ONLY = frozenset({"isk", "ugx"})
SMALLEST = {
    "usd": 50, "eur": 50, "gbp": 30, "aed": 200, "aud": 50, "brl": 50, "cad": 50, "chf": 50, "czk": 1500, "dkk": 250,
    "hkd": 400, "huf": 17500, "idr": 800_000, "inr": 50, "jpy": 50, "mxn": 1000, "myr": 200, "nok": 300, "nzd": 50,
    "pln": 200, "ron": 200, "sek": 300, "sgd": 50, "thb": 1000,
}  # fmt: skip
LARGEST = 99_999_999
LARGEST_IDR = 999_999_999_999
FEE_PER_MILLE, FIXED_FEE = 29, 30


def currency(code: str, param: str = "currency") -> str:
    """The code in lower case.

    Raises StripeError for one Stripe does not know.
    """
    lower = code.lower()
    if lower not in KNOWN:
        raise errors.invalid(f"Invalid currency: {code}.", param=param)
    return lower


def check_amount(amount: int, code: str, param: str = "amount") -> None:
    """Refuse what cannot be charged: too little, too much, or in steps the currency lacks.

    Raises StripeError.
    """
    if amount < SMALLEST.get(code, 1):
        message = f"Amount must be at least {shown(SMALLEST.get(code, 1), code)}"
        raise errors.invalid(message, param=param, code="amount_too_small")
    if amount > (LARGEST_IDR if code == "idr" else LARGEST):
        message = f"Amount must be no more than {shown(LARGEST, code)}"
        raise errors.invalid(message, param=param, code="amount_too_large")
    step = 100 if code in WHOLE_UNITS_ONLY else 10 if code in THREE_DECIMAL else 1
    if amount % step:
        raise errors.invalid(f"Invalid amount: {code} amounts must be a multiple of {step}", param=param)


def fee(amount: int, code: str) -> int:
    """What Stripe keeps: 2.9 % and a fixed part, rounded half up, never more than the amount."""
    fixed = 0 if code in ZERO_DECIMAL else FIXED_FEE
    return min(amount, (amount * FEE_PER_MILLE + 500) // 1000 + fixed)


def shown(amount: int, code: str) -> str:
    """The amount as pages show it, such as `12.50 USD`."""
    places = 0 if code in ZERO_DECIMAL else 3 if code in THREE_DECIMAL else 2
    if not places:
        return f"{amount:,} {code.upper()}"
    whole, rest = divmod(abs(amount), 10**places)
    return f"{'-' if amount < 0 else ''}{whole:,}.{rest:0{places}d} {code.upper()}"
