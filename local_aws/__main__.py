"""`python -m local_aws --port N [--region R] [--state-dir D] [--host H]`"""

from local_aws.server import main

main()
