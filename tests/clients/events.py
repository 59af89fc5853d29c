"""Writes the 2,000 events that every client's script knows."""
import json

for minute in range(2_000):
    print(json.dumps({
        "metrictype": "thermostat",
        "timestamp": 1_767_225_600_000 + minute * 60_000,
        "device": f"d{minute % 7}",
        "temp": 20 + minute % 13 / 4,
        "on": True,
    }))
