"""Say what a ROS 2 launch file would start. In: a launch file. Out: one JSON object.

The file is run for real, with recording stand-ins for `launch` and `launch_ros`, so that it can be checked on a machine that has
neither (the PyPI wheels do not ship them). Only Python's standard library is used.
"""

import importlib.util
import json
import sys
import types


class Thing:
    """Any class of the launch libraries: keeps how it was made."""

    def __init__(self, *args, **kwargs):
        self.args, self.kwargs = args, kwargs


MODULES = {
    "launch": ["LaunchDescription"],
    "launch.actions": [
        "DeclareLaunchArgument",
        "ExecuteProcess",
        "IncludeLaunchDescription",
        "SetEnvironmentVariable",
        "TimerAction",
    ],
    "launch.conditions": ["IfCondition", "UnlessCondition"],
    "launch.launch_description_sources": ["PythonLaunchDescriptionSource"],
    "launch.substitutions": ["LaunchConfiguration", "PathJoinSubstitution"],
    "launch_ros": [],
    "launch_ros.actions": ["Node"],
    "launch_ros.parameter_descriptions": ["ParameterValue"],
    "launch_ros.substitutions": ["FindPackageShare"],
}


def install_stand_ins():
    for name, classes in MODULES.items():
        module = types.ModuleType(name)
        for of in classes:
            setattr(module, of, type(of, (Thing,), {}))
        sys.modules[name] = module


def kind(value):
    return type(value).__name__


def text(value):
    """A value as one string: configurations as $(name), package shares as @package."""
    if kind(value) == "LaunchConfiguration":
        return f"$({value.args[0]})"
    if kind(value) == "FindPackageShare":
        return f"@{value.args[0]}"
    if kind(value) == "PathJoinSubstitution":
        return "/".join(text(part) for part in value.args[0])
    if kind(value) in ("ParameterValue", "PythonLaunchDescriptionSource"):
        return text(value.args[0])
    return str(value)


def walk(value, found):
    """Visits everything that was put into the description."""
    if isinstance(value, dict):
        for item in value.values():
            walk(item, found)
    elif isinstance(value, (list, tuple)):
        for item in value:
            walk(item, found)
    elif isinstance(value, Thing):
        visit(value, found)
        walk(value.args, found)
        walk(value.kwargs, found)


def visit(value, found):
    if kind(value) == "DeclareLaunchArgument":
        found["arguments"].append(value.args[0])
        if not value.kwargs.get("description"):
            raise SystemExit(f"argument {value.args[0]} has no description")
    elif kind(value) == "LaunchConfiguration":
        found["configurations"].append(value.args[0])
    elif kind(value) == "PathJoinSubstitution":
        found["files"].append(text(value))
    elif kind(value) == "SetEnvironmentVariable":
        found["environment"].append(value.args[0])
    elif kind(value) == "ExecuteProcess":
        found["processes"].append([text(word) for word in value.kwargs["cmd"]])
    elif kind(value) == "IncludeLaunchDescription":
        # `launch_arguments` takes the items of a dict.
        given = dict(value.kwargs.pop("launch_arguments", {}))
        found["includes"].append({"file": text(value.args[0]), "arguments": {k: text(v) for k, v in given.items()}})
        walk(given, found)
    elif kind(value) == "Node":
        parameters = value.kwargs.get("parameters", [])
        found["nodes"].append(
            {
                "package": value.kwargs["package"],
                "executable": value.kwargs["executable"],
                "name": value.kwargs.get("name", ""),
                "remapped": [name for name, _ in value.kwargs.get("remappings", [])],
                "parameters": [name for given in parameters if isinstance(given, dict) for name in given],
                "parameter_files": [text(given) for given in parameters if not isinstance(given, dict)],
            }
        )


def main():
    install_stand_ins()
    path = sys.argv[1]
    spec = importlib.util.spec_from_file_location("launch_file", path)
    module = importlib.util.module_from_spec(spec)
    sys.dont_write_bytecode = True
    spec.loader.exec_module(module)
    names = ["arguments", "configurations", "files", "environment", "processes", "includes", "nodes"]
    found = {name: [] for name in names}
    walk(module.generate_launch_description(), found)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
