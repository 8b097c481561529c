"""Start the Vantage node and play a recording to it; the recording's clock is the time.

ros2 launch vantage_bringup replay.launch.py bag:=/path/to/bag
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, ExecuteProcess, IncludeLaunchDescription, TimerAction
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.substitutions import FindPackageShare

# Discovery between fresh processes takes up to this long; the first frames would be lost.
START_DELAY_SECS = 3.0


def generate_launch_description():
    node = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(
            PathJoinSubstitution([FindPackageShare("vantage_bringup"), "launch", "vantage.launch.py"])
        ),
        # The other arguments of vantage.launch.py are taken from the command line.
        launch_arguments={"use_sim_time": "true"}.items(),
    )
    play = ExecuteProcess(
        cmd=["ros2", "bag", "play", LaunchConfiguration("bag"), "--clock", "--rate", LaunchConfiguration("rate")],
        output="screen",
    )
    return LaunchDescription(
        [
            DeclareLaunchArgument("bag", description="Folder of the recording (rosbag2, mcap or sqlite3)"),
            DeclareLaunchArgument("rate", default_value="1.0", description="Speed of the recording"),
            node,
            TimerAction(period=START_DELAY_SECS, actions=[play]),
        ]
    )
