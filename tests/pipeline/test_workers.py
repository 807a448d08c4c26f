"""Many workers, one run: shards from flags, variables and `jax.distributed`; races that end with the same bytes."""

import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

from loce_jax import InputError, PaperRecipe, RidgeRecipe, open_run
from loce_jax.cli import main
from loce_jax.pipeline.distributed.shards import Shard, shard_from_environment
from loce_jax.pipeline.plan import make_plan
from loce_jax.pipeline.run import run_plan
from loce_jax.pipeline.sources import coco_source
from tests.support.small_coco import CHUNKS, arguments, contents, draw, start
from tests.support.tiny import tiny_network


@pytest.fixture(scope="module")
def coco(tmp_path_factory):
    """A folder with the data and the run ``whole`` of a single process."""
    folder = tmp_path_factory.mktemp("coco")
    draw(folder)
    assert main(arguments(folder, folder / "whole")) == 0
    assert len(open_run(folder / "whole").chunks) == CHUNKS
    return folder


def ends(processes):
    """What each process printed; all must end well."""
    printed = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes), "\n".join(printed)
    return printed


@pytest.mark.parametrize("count", range(1, 9))
def test_shards_are_a_partition(count):
    chunks = [f"{number:05d}" for number in range(6)]
    shards = [Shard(index, count).select(chunks) for index in range(count)]
    assert sorted(sum(shards, [])) == chunks
    assert max(map(len, shards)) - min(map(len, shards)) <= 1


ARRAY = {
    "SLURM_ARRAY_TASK_ID": "7",
    "SLURM_ARRAY_TASK_MIN": "1",
    "SLURM_ARRAY_TASK_MAX": "9",
    "SLURM_ARRAY_TASK_COUNT": "5",
    "SLURM_ARRAY_TASK_STEP": "2",
}
STEP = {"SLURM_PROCID": "3", "SLURM_NTASKS": "4"}
MPI = {"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2"}
KUBERNETES = {"JOB_COMPLETION_INDEX": "2"}


@pytest.mark.parametrize(
    ("variables", "count", "expected"),
    [
        (ARRAY, None, Shard(3, 5, "SLURM_ARRAY_TASK_ID")),
        (ARRAY, 5, Shard(3, 5, "SLURM_ARRAY_TASK_ID")),
        (STEP, None, Shard(3, 4, "SLURM_PROCID")),
        (MPI, None, Shard(1, 2, "OMPI_COMM_WORLD_RANK")),
        (KUBERNETES, 3, Shard(2, 3, "JOB_COMPLETION_INDEX")),
        (ARRAY | STEP | MPI | KUBERNETES, None, Shard(3, 5, "SLURM_ARRAY_TASK_ID")),
        (STEP | MPI, None, Shard(1, 2, "OMPI_COMM_WORLD_RANK")),  # `mpirun` inside a SLURM job
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "1"} | KUBERNETES, 3, Shard(2, 3, "JOB_COMPLETION_INDEX")),
    ],
    ids=str,
)
def test_clusters_tell_which_shard(variables, count, expected):
    assert shard_from_environment(count, variables) == expected


@pytest.mark.parametrize(
    ("variables", "count", "message"),
    [
        ({}, None, "none of .* is set. Give `worker`"),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "1"}, None, "none of .* is set"),
        (KUBERNETES, None, "`num_workers` must be given in a Kubernetes indexed job"),
        (KUBERNETES, 2, "a number from 0 to 1 for 2 workers, but got 2"),
        (STEP, 8, "must agree with SLURM_PROCID, which counts 4 workers, but got 8"),
        (STEP | {"SLURM_NTASKS": "3"}, None, "a number from 0 to 2 for 3 workers, but got 3"),
        (STEP | {"SLURM_PROCID": "-1"}, None, "SLURM_PROCID must be a whole number, but is '-1'"),
        (MPI | {"OMPI_COMM_WORLD_SIZE": "two"}, None, "OMPI_COMM_WORLD_SIZE must be a whole number, but is 'two'"),
        ({"SLURM_ARRAY_TASK_ID": "1"}, None, "SLURM_ARRAY_TASK_MIN must be a whole number, but is ''"),
        (ARRAY | {"SLURM_ARRAY_TASK_COUNT": "4"}, None, "evenly spaced .* Submit it as `--array=0-3`"),
        (ARRAY | {"SLURM_ARRAY_TASK_ID": "4"}, None, "evenly spaced"),
        (ARRAY | {"SLURM_ARRAY_TASK_STEP": "0"}, None, "evenly spaced"),
    ],
    ids=str,
)
def test_variables_that_do_not_fit_are_refused(variables, count, message):
    with pytest.raises(InputError, match=message):
        shard_from_environment(count, variables)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--worker", "4", "--num-workers", "4"], "a number from 0 to 3 for 4 workers, but got 4"),
        (["--worker", "-1", "--num-workers", "4"], "a number from 0 to 3 for 4 workers, but got -1"),
        (["--worker", "0", "--num-workers", "0"], "at least 1, but got 0"),
        (["--worker", "1"], "go together"),
        (["--num-workers", "2"], "go together"),
        (["--engine", "ray", "--distributed"], "leave `--worker`, `--num-workers` and `--distributed` out"),
        (["--engine", "ray", "--worker", "0", "--num-workers", "2"], "leave `--worker`"),
    ],
    ids=str,
)
def test_flags_that_do_not_fit_are_refused_before_anything_is_made(flags, message, tmp_path, capsys):
    draw(tmp_path)
    assert main([*arguments(tmp_path, tmp_path / "run"), *flags]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_shard_leaves_a_run_that_is_not_complete_and_a_plain_start_ends_it(tmp_path, capsys):
    draw(tmp_path)
    source = coco_source(str(tmp_path / "coco.json"), str(tmp_path / "images"))
    plan = make_plan(tiny_network(), ("shallow", "deep"), source, PaperRecipe())
    seen = []
    run = run_plan(plan, tmp_path / "run", shard=Shard(1, 3), progress=lambda done, total: seen.append((done, total)))
    assert run.finished == ("00001", "00004") and not run.complete
    assert seen == [(0, 39), (32, 39), (39, 39)]
    assert run_plan(plan, tmp_path / "run", shard=Shard(7, 9)).finished == run.finished, "more workers than chunks"
    assert main(["show", str(tmp_path / "run")]) == 0
    assert "2 of 5 chunks are done" in capsys.readouterr().out
    assert run_plan(plan, tmp_path / "run").complete
    run_plan(plan, tmp_path / "whole")
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


@pytest.mark.slow
def test_a_shard_without_a_usable_pair_is_not_an_error_while_others_are_missing(tmp_path):
    draw(tmp_path)
    for number in range(32):
        (tmp_path / "images" / f"{number:03d}.png").unlink()
    assert main([*arguments(tmp_path, tmp_path / "run"), "--worker", "0", "--num-workers", "5"]) == 0
    run = open_run(tmp_path / "run")
    assert set(run.table["status"]) == {"image_missing"} and not run.complete


@pytest.mark.slow
def test_racing_workers_and_doubled_ones_end_with_the_same_bytes(coco, capsys):
    """A job array of two, and worker 1 once more by flags, in this process."""
    array = {"SLURM_ARRAY_TASK_MIN": "0", "SLURM_ARRAY_TASK_MAX": "1", "SLURM_ARRAY_TASK_STEP": "1"}
    array["SLURM_ARRAY_TASK_COUNT"] = "2"
    workers = [
        start(coco, coco / "race", "--worker", "auto", **array, SLURM_ARRAY_TASK_ID=str(index)) for index in range(2)
    ]
    assert main([*arguments(coco, coco / "race"), "--worker", "1", "--num-workers", "2"]) == 0
    printed = [*ends(workers), capsys.readouterr().out]
    for index, text in enumerate(printed[:2]):
        assert f"This is worker {index} of 2 (SLURM_ARRAY_TASK_ID)." in text
    assert "This is worker 1 of 2 (--worker, --num-workers)." in printed[2]
    assert any("mean IoU" in text for text in printed), "the last one shows the whole run"
    assert contents(coco / "race") == contents(coco / "whole")


@pytest.mark.slow
def test_racing_workers_of_the_ridge_recipe_share_its_first_pass_too(coco):
    """In threads: locks keep out other descriptors of a process as they do those of other processes."""
    source = coco_source(str(coco / "coco.json"), str(coco / "images"))
    plan = make_plan(tiny_network(), ("shallow", "deep"), source, RidgeRecipe())
    with ThreadPoolExecutor(3) as pool:
        for worker in [pool.submit(run_plan, plan, coco / "ridge", shard=Shard(index, 3)) for index in range(3)]:
            worker.result()
    run = open_run(coco / "ridge")
    assert run.complete and run.damaged() == [] and run.statistics("deep").count == 135 * 6 * 8
    run_plan(plan, coco / "ridge_alone")
    assert contents(coco / "ridge_alone") == contents(coco / "ridge")


@pytest.mark.slow
def test_two_distributed_processes_share_a_run(coco):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    printed = ends(
        [
            start(
                coco,
                coco / "distributed",
                *("--distributed", "--worker", str(index), "--num-workers", "2"),
                JAX_COORDINATOR_ADDRESS=address,
                JAX_COORDINATOR_BIND_ADDRESS=address,
            )
            for index in range(2)
        ]
    )
    assert all(f"worker {index} of 2 (jax.distributed)" in text for index, text in enumerate(printed))
    assert ["mean IoU" in text for text in printed] == [True, False], "the first one, when all are done"
    assert contents(coco / "distributed") == contents(coco / "whole")


@pytest.mark.slow
def test_distributed_without_a_cluster_says_what_to_set(tmp_path):
    draw(tmp_path)
    process = start(tmp_path, tmp_path / "run", "--distributed")
    printed, _ = process.communicate()
    assert process.returncode == 2
    assert "set JAX_COORDINATOR_ADDRESS=HOST:PORT" in printed
    assert not (tmp_path / "run").exists()
