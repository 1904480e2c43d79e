"""Bodies of `place_order` that must be turned away, by what is wrong with them."""

import json

from world import order

GOOD = json.dumps(order("h")).encode()
PRICE = b'"price": "3.00"'


def changed(new: bytes) -> bytes:
    """The good order with another text in place of its price."""
    assert PRICE in GOOD
    return GOOD.replace(PRICE, new)


BODIES = {
    "empty": b"",
    "no json": b"hello",
    "half": GOOD[:-5],
    "two values": GOOD + GOOD,
    "an array": b"[" + GOOD + b"]",
    "a text": b'"x"',
    "null": b"null",
    "a number": b"7",
    "deep arrays": b"[" * 30_000,
    "deep objects": b'{"a":' * 10_000,
    "deep and closed": b'{"price":' + b"[" * 100 + b"]" * 100 + b"}",
    "many keys": b"{" + b",".join(b'"k%d":1' % n for n in range(5_000)) + b"}",
    "a key twice": changed(PRICE + b', "price": "4.00"'),
    "a key twice, once escaped": changed(PRICE + b', "pric\\u0065": "4.00"'),
    "a float": changed(b'"price": 3.00'),
    "an integer for a text": changed(b'"price": 3'),
    "a huge exponent": changed(b'"price": 1e999999999'),
    "1e999": changed(b'"price": 1e999'),
    "minus zero": changed(b'"price": -0'),
    "NaN": changed(b'"price": NaN'),
    "Infinity": changed(b'"price": -Infinity'),
    "many digits": changed(b'"price": ' + b"9" * 50_000),
    "many digits as text": changed(b'"price": "' + b"9" * 50_000 + b'"'),
    "an exponent as text": changed(b'"price": "1e5"'),
    "a fraction": changed(b'"price": "1/3"'),
    "a comma": changed(b'"price": "3,00"'),
    "a plus": changed(b'"price": "+3.00"'),
    "other digits": changed('"price": "٣.00"'.encode()),
    "a line end": changed(b'"price": "3.00\\n"'),
    "a raw line end": changed(b'"price": "3.00\n"'),
    "a lone surrogate": changed(b'"price": "\\ud800"'),
    "NUL": changed(b'"price": "3.00\\u0000"'),
    "raw NUL": changed(b'"price": "3.00\x00"'),
    "BOM": b"\xef\xbb\xbf" + GOOD,
    "UTF-16": GOOD.decode().encode("utf-16"),
    "not UTF-8": changed(b'"price": "\xff\xfe"'),
    "overlong": changed(b'"price": "\xc0\xb0"'),
    "an unknown field": changed(PRICE + b', "leverage": "10"'),
    "a prototype": changed(PRICE + b', "__proto__": {}'),
    "a missing field": changed(b'"cards ": "1"'),
    "true": changed(b'"price": true'),
    "an object": changed(b'"price": {"$gt": ""}'),
    "a comment": b"/* */" + GOOD,
    "a comma at the end": GOOD[:-1] + b",}",
    "single quotes": GOOD.replace(b'"', b"'"),
    "10 MB": changed(b'"price": "' + b"3" * 10_000_000 + b'"'),
}
