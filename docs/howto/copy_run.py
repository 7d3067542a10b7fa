"""copy_run.py UUID OLD NEW: copy the state of a run from one server to another."""

import getpass
import sys

from taskfarm_worker import TaskFarm


def login(url: str) -> tuple[str, str]:
    """Ask for user and password."""
    print(f"At {url}", file=sys.stderr)
    return input("User: "), getpass.getpass()


def main(uuid: str, old_url: str, new_url: str) -> None:
    """Create the run anew and mark done what is done."""
    old = TaskFarm(*login(old_url), uuid=uuid, url_base=old_url)
    new = TaskFarm(*login(new_url), numTasks=old.numTasks, url_base=new_url)
    for number in range(old.numTasks):
        task = old.getTaskInfo(number, "")
        if task["status"] == "done":
            new.setTaskInfo(number, "status", "done")
        elif task["percentCompleted"]:
            new.setTaskInfo(number, "percentCompleted", task["percentCompleted"])
    print(new.uuid)


main(*sys.argv[1:])
