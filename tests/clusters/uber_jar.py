"""One jar of many: `python uber_jar.py JARS UBER.JAR`, what a job brings to a cluster without Beam.

a.jar   X.class   META-INF/services/S: one    ┐   uber.jar   X.class  Y.class
b.jar   Y.class   META-INF/services/S: two    ┘              META-INF/services/S: one two
"""

import sys
import zipfile
from collections import defaultdict
from pathlib import Path

_SERVICES = "META-INF/services/"
# What is of one jar alone: its signatures, its module, its manifest.
_DROPPED = (".SF", ".RSA", ".DSA", "module-info.class", "META-INF/MANIFEST.MF")
_MANIFEST = "Manifest-Version: 1.0\r\nMulti-Release: true\r\n\r\n"


def merge_jars(jars: Path, target: Path) -> None:
    """Writes one jar of all jars of a folder; of two files of one name the first is taken.

    Providers of a service are those of all jars: Beam finds its translators by them.
    """
    services: dict[str, list[str]] = defaultdict(list)
    seen: set[str] = set()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as merged:
        merged.writestr("META-INF/MANIFEST.MF", _MANIFEST)
        for path in sorted(jars.glob("*.jar")):
            with zipfile.ZipFile(path) as jar:
                for name in jar.namelist():
                    if name.endswith(("/", *_DROPPED)):
                        continue
                    if name.startswith(_SERVICES):
                        services[name] += jar.read(name).decode().splitlines()
                    elif name not in seen:
                        seen.add(name)
                        merged.writestr(name, jar.read(name))
        for name, providers in services.items():
            merged.writestr(name, "".join(f"{line}\n" for line in dict.fromkeys(providers)))


if __name__ == "__main__":
    merge_jars(Path(sys.argv[1]), Path(sys.argv[2]))
