"""Running a kernel over numbered tasks on all cores.

What a task computes depends on its number alone and no two tasks write to the same place, so
results are the same bits whatever the number of threads. Threads, unlike OpenMP's, sleep when
they have nothing to do, and several may call at a time.
"""

import itertools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from typing import Any

import torch


@cache
def _pool(workers: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(workers, thread_name_prefix="kernel")


def parallel(function: Callable[..., Any], tasks: int, *arguments: Any) -> None:
    """Call `function(task, *arguments)` for every task, on `torch.get_num_threads()` threads.

    Tasks are handed out one by one, so uneven ones balance. The caller works, too. An exception
    in a task is raised here.
    """
    numbers = itertools.count()  # next() is atomic

    def work() -> None:
        for task in numbers:
            if task >= tasks:
                return
            function(task, *arguments)

    threads = torch.get_num_threads()
    helpers = min(threads, tasks) - 1
    # A kernel that is called from within another one's task must not wait for its own pool.
    if helpers < 1 or threading.current_thread().name.startswith("kernel"):
        work()
        return
    futures = [_pool(threads - 1).submit(work) for _ in range(helpers)]
    try:
        work()
    finally:  # nobody goes on writing once this has returned
        wait(futures)
    for future in futures:
        future.result()
