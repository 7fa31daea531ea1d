"""The package `ares`, and the files beside it in a clone that it needs wherever it is installed."""

from setuptools import find_packages, setup

setup(
    # A wheel holds these files as ares/shipped/, where `ares.paths` looks for them.
    packages=[*find_packages(include=["ares*"]), "ares.shipped"],
    package_dir={"ares.shipped": "."},
    package_data={
        "ares": [f"**/*.{kind}" for kind in ("json", "yaml", "md", "html", "css", "js")],
        "ares.shipped": ["config/*.yaml", "data/base/*"],
    },
)
