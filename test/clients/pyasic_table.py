#!/usr/bin/env python3
"""Points pyasic at a fleet of asic-sim and prints, for every front, what it made of it.

Usage: pyasic_table.py [--truth URL] [--only PREFIX] [--read]

What a command did is read from the simulator's truth, never from what client or machine says of it.
"""

import argparse
import asyncio
import json
import logging
import time
import urllib.request
import warnings

import pyasic
from importlib.metadata import version

PATIENCE = {"limit": 150, "sleep": 150, "wake": 240}  # seconds until watts must have moved
MOVED = 0.15  # of the watts before, or of the nominal ones for a wake
HEAD = ("front", "identified as", "watts read/true", "TH/s read/true", "limit", "sleep", "wake")


def truths(url):
    with urllib.request.urlopen(url + "/truth") as reply:
        return {d["address"]: d for d in json.load(reply)["devices"]}


class Bench:
    def __init__(self, url):
        self.url, self.now = url, {}

    async def refresh(self):
        while True:
            self.now = await asyncio.to_thread(truths, self.url)
            await asyncio.sleep(1)

    async def moved(self, address, done, patience):
        """Seconds until the true watts satisfy done, or None."""
        began = time.monotonic()
        while time.monotonic() - began < patience:
            if done(self.now[address]["watts"]):
                return round(time.monotonic() - began)
            await asyncio.sleep(1)
        return None


async def command(bench, address, kind, call, done):
    """What the client said, and what the watts did."""
    patience = PATIENCE[kind]
    before = bench.now[address]["watts"]
    try:
        said = await asyncio.wait_for(call, 90)
    except NotImplementedError:
        return "client has none"
    except asyncio.TimeoutError:
        said = "client hung"
    except Exception as err:  # whatever a client raises belongs in the table
        said = f"{type(err).__name__}: {str(err)[:70]}"
    if said is False and kind == "limit":
        return "client has none"
    took = await bench.moved(address, done, patience)
    after = bench.now[address]["watts"]
    verdict = f"yes, {took} s" if took is not None else "NO"
    return f"{verdict} ({before:.0f}->{after:.0f} W, said {said})"


async def row(bench, device, read_only):
    address, out = device["address"], [device["group"]]
    try:
        miner = await pyasic.get_miner(address)
    except Exception as err:
        return out + [f"{type(err).__name__}: {err}"[:80]]
    if miner is None:
        return out + ["nothing"]
    for api in (getattr(miner, "web", None), getattr(miner, "rpc", None)):
        if api is not None and device["firmware"] in PASSWORDS:
            api.pwd = PASSWORDS[device["firmware"]]
    try:
        data = await asyncio.wait_for(miner.get_data(), 60)
    except Exception as err:
        out.append(f"{type(miner).__name__}; get_data {type(err).__name__}: {str(err)[:90]}")
        data = None
    true = bench.now[address]
    if data is not None:
        rate = "none"
        if data.hashrate is not None:
            tera = float(data.hashrate)
            # A model that pyasic does not know has its rate in H/s.
            rate = f"{tera if tera < 1e9 else tera / 1e12:.2f}"
        out += [
            f"{type(miner).__name__} {data.fw_ver or '-'} {data.mac or '-'}",
            f"{data.wattage}/{true['watts']:.0f} (limit {data.wattage_limit})",
            f"{rate}/{true['terahashes']:.2f} mining {data.is_mining}",
        ]
    else:
        out += ["-", "-"]
    if read_only:
        return out
    watts = true["watts"]
    aim = int(watts * 0.75)
    out.append(await command(bench, address, "limit", limit(miner, device, aim), lambda w: 0.2 * watts < w < watts * 0.92))
    out.append(await command(bench, address, "sleep", miner.stop_mining(), lambda w: w < watts * MOVED))
    if bench.now[address]["watts"] > watts * 0.5:
        return out + ["never slept"]
    out.append(await command(bench, address, "wake", miner.resume_mining(), lambda w: w > watts * 0.5))
    return out


# What a machine's own password is, where pyasic's default is another.
PASSWORDS = {}


async def limit(miner, device, watts):
    """The client's own limit, or where it has none for this firmware, the lower call that it ships."""
    web = getattr(miner, "web", None)
    match device["firmware"]:
        case "VNish":
            # set_power_limit itself never gets as far as a request: see docs/simulator.md.
            presets = [p for p in await web.autotune_presets() if p["status"] == "tuned" and p["name"].isdigit()]
            await web.set_power_limit(max(int(p["name"]) for p in presets if int(p["name"]) <= watts))
            return "web.set_power_limit"
        case "ePIC":
            name = {"epic-1.38.3": "PowerTune", "epic-1.30.0": "Power"}.get(device["group"])
            if name is None:
                return False
            await web.set_ptune_enable(True)
            await web.set_ptune_algo({"algo": name, "target": watts, "min_throttle": watts // 2, "throttle_step": 100})
            return "web.set_ptune_algo"
        case "AxeOS":
            await web.update_settings(frequency=400)
            return "web.update_settings"
    return await miner.set_power_limit(watts)


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--truth", default="http://127.0.0.1:9410")
    parser.add_argument("--only", default="")
    parser.add_argument("--read", action="store_true")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    pyasic.settings.update("factory_get_timeout", 10)

    bench = Bench(args.truth)
    bench.now = truths(args.truth)
    refresh = asyncio.create_task(bench.refresh())
    devices = [d for d in bench.now.values() if d["group"].startswith(args.only)]
    devices.sort(key=lambda d: d["group"])

    async def tell(device):
        cells = await row(bench, device, args.read)
        print("| " + " | ".join(cells) + " |", flush=True)

    print(f"pyasic {version('pyasic')}")
    print("| " + " | ".join(HEAD) + " |\n|" + "---|" * len(HEAD))
    await asyncio.gather(*(tell(d) for d in devices))
    refresh.cancel()


if __name__ == "__main__":
    asyncio.run(main())
