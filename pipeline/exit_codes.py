"""What the command's exit codes mean."""

COMPLETE = 0
FAILED = 1  # the job failed, or verify found a difference
USAGE = 2  # wrong usage or configuration: nothing was started
TOO_MANY_REJECTS = 3  # all inputs were read, but more records are faulty than allowed
