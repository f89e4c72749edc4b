"""Helm without its program: installs, upgrades or uninstalls the release `observer` with the real Helm library. `cargo xtask test --cluster` runs it.

Usage: helm.py KUBECONFIG install|upgrade CHART VALUES.json | helm.py KUBECONFIG uninstall
"""

import json
import pathlib
import sys

import helm_python as helm

NAME = NAMESPACE = "observer"
SECONDS = 180


def main():
    kubeconfig, action, *rest = sys.argv[1:]
    config = helm.Config(kubeconfig_path=kubeconfig, namespace=NAMESPACE)
    try:
        if action == "uninstall":
            config.uninstall(NAME, wait="watcher", timeout=SECONDS)
        else:
            chart, values = rest
            run = {"install": config.install, "upgrade": config.upgrade}[action]
            run(helm.Chart.load(chart), NAME, json.loads(pathlib.Path(values).read_text()), namespace=NAMESPACE, wait="watcher", timeout=SECONDS)
    except helm.HelmError as error:
        sys.exit(f"helm {action}: {error}")


main()
