"""Groups of jobs that stay right when a checkpoint ends.

Each time a checkpoint ends, Snakemake 9.27 forms all groups again. It starts from those it formed before.
Other jobs are merged into them by then: jobs that have been replaced since, or those of a running group. Such
a group is submitted before its inputs are there, or a second time, and ends without its outputs
(https://github.com/snakemake/snakemake/issues/1628,
https://github.com/snakemake/snakemake-executor-plugin-slurm/issues/253).
"""

from snakemake.dag import DAG

_form_groups = DAG._update_group_components


def form_groups_anew() -> None:
    """Make Snakemake form groups from nothing each time, and leave those alone that are running."""
    DAG._update_group_components = _update_group_components


def _update_group_components(dag: DAG) -> None:
    dag.group_job_factory.cache.clear()
    running = {job: group for group in dag._running if group.is_group() for job in group.jobs}
    dag._group = {job: group for job, group in dag._group.items() if job not in running}
    _form_groups(dag)
    dag._group.update(running)
