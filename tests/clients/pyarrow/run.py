"""pyarrow.flight: a call without and with a token."""
import os

import pyarrow.flight as flight

client = flight.connect(os.environ["FINEO_FLIGHT_URL"])
try:
    client.authenticate_basic_token("acme", "wrong")
    raise AssertionError("let in without a token")
except flight.FlightError:
    pass
token = client.authenticate_basic_token("acme", os.environ["FINEO_TOKEN"])
assert token[0] == b"authorization" and token[1].startswith(b"Bearer "), token
