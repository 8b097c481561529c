# vantage_node for Jetson Orin with JetPack 6 (Ubuntu 22.04, CUDA 12.6), ROS 2 Humble.
#
#   docker build -f launch/docker/jetpack6.Dockerfile -t vantage:jetpack6 .
#   docker run --rm --runtime nvidia --network host --ipc host vantage:jetpack6
FROM nvcr.io/nvidia/l4t-jetpack:r36.4.0 AS ros
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates curl \
    && curl -fsSL https://raw.githubusercontent.com/ros/rosdistro/master/ros.key -o /usr/share/keyrings/ros-archive-keyring.gpg \
    && echo "deb [arch=arm64 signed-by=/usr/share/keyrings/ros-archive-keyring.gpg] http://packages.ros.org/ros2/ubuntu jammy main" \
        > /etc/apt/sources.list.d/ros2.list \
    && apt-get update && apt-get install -y --no-install-recommends \
        ros-humble-ros-base ros-humble-tf2-msgs ros-humble-vision-msgs ros-humble-visualization-msgs \
    && rm -rf /var/lib/apt/lists/*

FROM ros AS build
RUN apt-get update && apt-get install -y --no-install-recommends \
        clang cmake g++ libclang-dev ninja-build pkg-config python3-colcon-common-extensions \
    && rm -rf /var/lib/apt/lists/*
ENV CARGO_HOME=/opt/cargo RUSTUP_HOME=/opt/rustup PATH=/opt/cargo/bin:$PATH
RUN curl -fsSL https://sh.rustup.rs | sh -s -- -y --profile minimal --default-toolchain 1.95.0
WORKDIR /src
COPY . .
RUN . /opt/ros/humble/setup.sh \
    && colcon build --base-paths interfaces/vantage_interfaces launch --packages-up-to vantage_bringup \
        --install-base /opt/vantage --merge-install --cmake-args -DVANTAGE_FEATURES=ros,cuda

FROM ros
# CUDA and NVRTC are part of the base image, the driver of the machine
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=all
COPY --from=build /opt/vantage /opt/vantage
SHELL ["/bin/bash", "-c"]
ENTRYPOINT ["/bin/bash", "-c", ". /opt/ros/humble/setup.bash && . /opt/vantage/setup.bash && exec \"$@\"", "--"]
CMD ["ros2", "launch", "vantage_bringup", "vantage.launch.py"]
