"""Skeletons (ASF) and motions (AMC) of the Acclaim format, and the positions that they describe.

The format is that of the `CMU Graphics Lab Motion Capture Database <http://mocap.cs.cmu.edu>`_. An
ASF file holds a tree of bones in a rest pose, an AMC file what the bones do in each frame. The
readers follow `Acclaim's definition <http://mocap.co.nz/downloads/ASF_spec_v1.html>`_ and `Vicon's
notes on it <http://graphics.cs.cmu.edu/nsp/course/cs229/info/ACCLAIMdef.html>`_:

* The order of the ``dof`` of a bone, and of the root's ``order``, is both that of the values in an
  AMC file and that in which rotations are applied, about fixed axes. The letters of ``axis`` order
  the rotations of the rest frame alone.
* Comments, blank lines, tabs, any line ends and a byte order mark are allowed anywhere. Keywords
  are read in upper or lower case.
* AMC files may begin at any frame number, say ``:RADIANS`` or ``:DEGREES`` (else the skeleton's
  unit is taken), and leave out bones, whose channels are then zero in all frames.

Files that break these rules are refused by name and line, as are those of an absurd size.

Example:
    >>> skeleton = read_asf("data/mocap/raw/35.asf")  # doctest: +SKIP
    >>> motion = read_amc("data/mocap/raw/35_01.amc", skeleton)  # doctest: +SKIP
    >>> forward_kinematics(skeleton, motion, units="m").shape  # doctest: +SKIP
    torch.Size([359, 31, 3])
"""

from __future__ import annotations

from pyg_remul.datasets._amc import read_amc
from pyg_remul.datasets._asf import read_asf
from pyg_remul.datasets._kinematics import forward_kinematics
from pyg_remul.datasets._skeletons import Bone, Motion, Skeleton

__all__ = ["Bone", "Motion", "Skeleton", "forward_kinematics", "read_amc", "read_asf"]
