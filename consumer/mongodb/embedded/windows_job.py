"""Tie a child's life to ours on Windows: a job object whose processes end with its last handle."""

from __future__ import annotations

import sys

if sys.platform == "win32":
    import ctypes
    from ctypes import wintypes

    _KILL_ON_JOB_CLOSE = 0x2000
    _EXTENDED_LIMIT_INFORMATION = 9
    _SET_QUOTA_AND_TERMINATE = 0x0100 | 0x0001

    class _BasicLimits(ctypes.Structure):
        _fields_ = [
            ("PerProcessUserTimeLimit", ctypes.c_int64),
            ("PerJobUserTimeLimit", ctypes.c_int64),
            ("LimitFlags", wintypes.DWORD),
            ("MinimumWorkingSetSize", ctypes.c_size_t),
            ("MaximumWorkingSetSize", ctypes.c_size_t),
            ("ActiveProcessLimit", wintypes.DWORD),
            ("Affinity", ctypes.c_size_t),
            ("PriorityClass", wintypes.DWORD),
            ("SchedulingClass", wintypes.DWORD),
        ]

    class _ExtendedLimits(ctypes.Structure):
        _fields_ = [
            ("BasicLimitInformation", _BasicLimits),
            ("IoInfo", ctypes.c_uint64 * 6),
            ("ProcessMemoryLimit", ctypes.c_size_t),
            ("JobMemoryLimit", ctypes.c_size_t),
            ("PeakProcessMemoryUsed", ctypes.c_size_t),
            ("PeakJobMemoryUsed", ctypes.c_size_t),
        ]

    def _kernel32() -> ctypes.WinDLL:
        dll = ctypes.WinDLL("kernel32", use_last_error=True)
        # Handles are pointers: without these a 64-bit one is cut to 32 bits.
        dll.CreateJobObjectW.restype = wintypes.HANDLE
        dll.CreateJobObjectW.argtypes = [wintypes.LPVOID, wintypes.LPCWSTR]
        dll.SetInformationJobObject.argtypes = [
            wintypes.HANDLE,
            ctypes.c_int,
            wintypes.LPVOID,
            wintypes.DWORD,
        ]
        dll.OpenProcess.restype = wintypes.HANDLE
        dll.OpenProcess.argtypes = [wintypes.DWORD, wintypes.BOOL, wintypes.DWORD]
        dll.AssignProcessToJobObject.argtypes = [wintypes.HANDLE, wintypes.HANDLE]
        dll.CloseHandle.argtypes = [wintypes.HANDLE]
        return dll

    def confine(pid: int) -> int:
        """Put process `pid` into a job of its own; the job's handle. Raises OSError.

        The handle is not inheritable, so the kernel closes it with us, even when we are killed.
        """
        dll = _kernel32()
        job = dll.CreateJobObjectW(None, None)
        if not job:
            raise ctypes.WinError(ctypes.get_last_error())
        limits = _ExtendedLimits()
        limits.BasicLimitInformation.LimitFlags = _KILL_ON_JOB_CLOSE
        process = dll.OpenProcess(_SET_QUOTA_AND_TERMINATE, False, pid)
        try:
            if not (
                process
                and dll.SetInformationJobObject(
                    job, _EXTENDED_LIMIT_INFORMATION, ctypes.byref(limits), ctypes.sizeof(limits)
                )
                and dll.AssignProcessToJobObject(job, process)
            ):
                error = ctypes.WinError(ctypes.get_last_error())
                dll.CloseHandle(job)
                raise error
        finally:
            if process:
                dll.CloseHandle(process)
        return int(job)

    def release(job: int) -> None:
        """Close the job; whatever still runs in it ends."""
        _kernel32().CloseHandle(job)
