"""python -m rtcagent_client.rtcctl"""

import sys

from rtcagent_client.rtcctl.app import main

sys.exit(main())
