"""Stand-ins for the C modules of pywin32, as far as its `win32serviceutil` and we use them.

They check what the C code checks (types of arguments, order of calls), with the numbers of winsvc.h
and winnt.h, and remember what was asked, so that tests can look at the service as Windows would."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.windows.machine import (
    INTERROGATE,
    PRESHUTDOWN,
    RUNNING,
    SHUTDOWN,
    START_PENDING,
    STOP,
    STOP_PENDING,
    STOPPED,
    ApiError,
    Installed,
    Status,
    Windows,
)

_SERVICE_NUMBERS = {
    "SC_MANAGER_ALL_ACCESS": 0xF003F,
    "SC_MANAGER_CONNECT": 1,
    "SERVICE_ALL_ACCESS": 0xF01FF,
    "SERVICE_QUERY_STATUS": 4,
    "SERVICE_WIN32_OWN_PROCESS": 0x10,
    "SERVICE_INTERACTIVE_PROCESS": 0x100,
    "SERVICE_AUTO_START": 2,
    "SERVICE_DEMAND_START": 3,
    "SERVICE_DISABLED": 4,
    "SERVICE_ERROR_NORMAL": 1,
    "SERVICE_NO_CHANGE": 0xFFFFFFFF,
    "SERVICE_STOPPED": STOPPED,
    "SERVICE_START_PENDING": START_PENDING,
    "SERVICE_STOP_PENDING": STOP_PENDING,
    "SERVICE_RUNNING": RUNNING,
    "SERVICE_CONTROL_STOP": STOP,
    "SERVICE_CONTROL_PAUSE": 2,
    "SERVICE_CONTROL_CONTINUE": 3,
    "SERVICE_CONTROL_INTERROGATE": INTERROGATE,
    "SERVICE_CONTROL_SHUTDOWN": SHUTDOWN,
    "SERVICE_CONTROL_PRESHUTDOWN": PRESHUTDOWN,
    "SERVICE_ACCEPT_STOP": 1,
    "SERVICE_ACCEPT_PAUSE_CONTINUE": 2,
    "SERVICE_ACCEPT_SHUTDOWN": 4,
    "SERVICE_ACCEPT_PRESHUTDOWN": 0x100,
    "SERVICE_CONFIG_DESCRIPTION": 1,
    "SERVICE_CONFIG_FAILURE_ACTIONS": 2,
    "SERVICE_CONFIG_DELAYED_AUTO_START_INFO": 3,
    "SERVICE_CONFIG_FAILURE_ACTIONS_FLAG": 4,
    "SERVICE_CONFIG_SERVICE_SID_INFO": 5,
    "SERVICE_CONFIG_PRESHUTDOWN_INFO": 7,
    "SERVICE_SID_TYPE_UNRESTRICTED": 1,
    "SC_ACTION_RESTART": 1,
}
_MANAGER_NUMBERS = {
    "PYS_SERVICE_STARTING": 0x40001000,
    "PYS_SERVICE_STARTED": 0x40001002,
    "PYS_SERVICE_STOPPING": 0x40001003,
    "PYS_SERVICE_STOPPED": 0x40001004,
    "EVENTLOG_ERROR_TYPE": 1,
    "EVENTLOG_WARNING_TYPE": 2,
    "EVENTLOG_INFORMATION_TYPE": 4,
}


def modules(windows: Windows) -> dict[str, ModuleType]:
    """The modules by name, all on one machine."""
    return {
        "pywintypes": _module("pywintypes", error=ApiError, __file__="pywintypes311.dll"),
        "win32service": _win32service(windows),
        "win32api": _win32api(),
        "win32evtlog": _module("win32evtlog", EVENTLOG_ERROR_TYPE=1),
        "servicemanager": _servicemanager(windows),
        "win32security": _win32security(windows),
    }


def _module(name: str, **members: Any) -> ModuleType:
    module = ModuleType(name)
    vars(module).update(members)
    return module


def _win32service(windows: Windows) -> ModuleType:
    def open_manager(machine: None, database: None, access: int) -> tuple[str, int]:
        if windows.denied:
            raise ApiError(5, "OpenSCManager", "Access is denied.")
        return ("manager", access)

    def open_service(manager: tuple[str, int], name: str, access: int) -> str:
        assert manager[0] == "manager"
        if name not in windows.services:
            raise ApiError(1060, "OpenService", "The specified service does not exist.")
        return name

    def key_name(manager: tuple[str, int], display: str) -> str:
        raise ApiError(1060, "GetServiceKeyName", "The specified service does not exist.")

    def create(
        manager: tuple[str, int],
        name: str,
        display: str,
        access: int,
        kind: int,
        start: int,
        error: int,
        command: str,
        group: None,
        tag: int,
        dependencies: Any,
        account: str | None,
        password: str | None,
    ) -> str:
        assert manager == ("manager", 0xF003F)
        if name in windows.services:
            raise ApiError(1073, "CreateService", "The specified service already exists.")
        assert kind == 0x10
        windows.services[name] = Installed(display, start, command, account, password)
        return name

    def change(
        name: str,
        kind: int,
        start: int,
        error: int,
        command: str | None,
        group: None,
        tag: int,
        dependencies: Any,
        account: str | None,
        password: str | None,
        display: str | None,
    ) -> None:
        service = windows.services[name]
        service.start_type = service.start_type if start == 0xFFFFFFFF else start
        service.command = command or service.command
        if account is not None:
            service.account, service.password = account, password
        service.display = display or service.display

    def change2(name: str, level: int, info: Any) -> None:
        if level == 2:
            # As PyWinObject_AsSERVICE_FAILURE_ACTIONS parses it.
            assert set(info) == {"ResetPeriod", "RebootMsg", "Command", "Actions"}
            assert all(type(action) is tuple and len(action) == 2 for action in info["Actions"])
        elif level in (5, 7):
            assert type(info) is int
        elif level not in (1, 3, 4):
            raise ValueError(f"Info type {level} is not supported")
        windows.services[name].config2[level] = info

    def query(name: str) -> tuple[int, ...]:
        return (0x10, windows.state, 0, 0, 0, 0, 0)

    def query_ex(name: str) -> dict[str, int]:
        last = windows.statuses[-1] if windows.statuses else Status(0, STOPPED, 0, 0, 0, 0, 0)
        return {
            "ServiceType": 0x10,
            "CurrentState": last.state,
            "Win32ExitCode": last.exit_code,
            "ServiceSpecificExitCode": last.specific,
            "ProcessId": 0 if last.state == STOPPED else 4242,
        }

    def query_config(name: str) -> tuple[Any, ...]:
        service = windows.services[name]
        return (0x10, service.start_type, 1, service.command, "", 0, [], service.account)

    return _module(
        "win32service",
        error=ApiError,
        __file__="win32service.pyd",
        OpenSCManager=open_manager,
        OpenService=open_service,
        GetServiceKeyName=key_name,
        CloseServiceHandle=lambda handle: None,
        CreateService=create,
        ChangeServiceConfig=change,
        ChangeServiceConfig2=change2,
        DeleteService=windows.services.pop,
        QueryServiceStatus=query,
        QueryServiceStatusEx=query_ex,
        ControlService=lambda name, code: windows.control(code),
        QueryServiceConfig=query_config,
        StartService=lambda name, args: windows.start(name),
        SetServiceStatus=windows.set_status,
        **_SERVICE_NUMBERS,
    )


def _win32api() -> ModuleType:
    def delete_key(key: int, name: str) -> None:
        raise ApiError(2, "RegDeleteKey", "The system cannot find the file specified.")

    return _module(
        "win32api",
        error=ApiError,
        GetFullPathName=lambda path: path,
        RegDeleteKey=delete_key,
        MAKELANGID=lambda primary, sub: sub << 10 | primary,
    )


def _servicemanager(windows: Windows) -> ModuleType:
    def register(name: str, callback: Callable[[int, int, Any], Any], extra: bool) -> int:
        assert extra
        windows.handler = callback
        return 1

    def host(klass: Any) -> None:
        windows.hosted = klass

    def message(kind: int, number: int, inserts: tuple[str, ...]) -> None:
        assert all(type(text) is str for text in inserts)
        windows.events.append((kind, number, inserts))

    return _module(
        "servicemanager",
        RegisterServiceCtrlHandler=register,
        SetEventSourceName=lambda name, now=False: windows.sources.append(name) if now else None,
        LogMsg=message,
        LogErrorMsg=lambda text: message(1, 0xFF, (text,)),
        LogWarningMsg=lambda text: message(2, 0xFF, (text,)),
        LogInfoMsg=lambda text: message(4, 0xFF, (text,)),
        Initialize=lambda name, file: None,
        PrepareToHostSingle=host,
        StartServiceCtrlDispatcher=lambda: windows.service_main("cxone-consumer"),
        **_MANAGER_NUMBERS,
    )


class _Descriptor:
    def __init__(self, text: str) -> None:
        self.text = text

    def GetSecurityDescriptorOwner(self) -> str:
        return self.text

    def GetSecurityDescriptorDacl(self) -> str:
        return self.text


def _win32security(windows: Windows) -> ModuleType:
    def set_info(
        name: str, kind: int, info: int, owner: str, group: None, dacl: str, sacl: None
    ) -> None:
        if windows.denied:
            raise ApiError(5, "SetNamedSecurityInfo", "Access is denied.")
        assert (kind, info) == (1, 1 | 4 | 0x80000000)
        windows.descriptors[name] = dacl
        held = [path.name for path in Path(name).rglob("*")]
        windows.held_when_closed.setdefault(name, held)
        windows.owners[name] = "S-1-5-32-544"

    return _module(
        "win32security",
        SDDL_REVISION_1=1,
        SE_FILE_OBJECT=1,
        OWNER_SECURITY_INFORMATION=1,
        DACL_SECURITY_INFORMATION=4,
        PROTECTED_DACL_SECURITY_INFORMATION=0x80000000,
        ConvertStringSecurityDescriptorToSecurityDescriptor=lambda text, _one: _Descriptor(text),
        ConvertSidToStringSid=lambda sid: sid,
        SetNamedSecurityInfo=set_info,
        GetNamedSecurityInfo=lambda name, kind, info: _Descriptor(
            windows.owners.get(name, "S-1-5-32-544")
        ),
    )
