# vantage_node for an NVIDIA GPU on x86-64: Ubuntu 24.04, ROS 2 Jazzy, kernels compiled on the machine by NVRTC.
#
#   docker build -f launch/docker/cuda.Dockerfile -t vantage:cuda .
#   docker run --rm --gpus all --network host --ipc host vantage:cuda
FROM ros:jazzy-ros-base AS build
RUN apt-get update && apt-get install -y --no-install-recommends \
        ca-certificates clang cmake curl g++ libclang-dev ninja-build pkg-config \
        ros-jazzy-tf2-msgs ros-jazzy-vision-msgs ros-jazzy-visualization-msgs \
    && rm -rf /var/lib/apt/lists/*
ENV CARGO_HOME=/opt/cargo RUSTUP_HOME=/opt/rustup PATH=/opt/cargo/bin:$PATH
RUN curl -fsSL https://sh.rustup.rs | sh -s -- -y --profile minimal --default-toolchain 1.95.0
WORKDIR /src
COPY . .
RUN . /opt/ros/jazzy/setup.sh \
    && colcon build --base-paths interfaces/vantage_interfaces launch --packages-up-to vantage_bringup \
        --install-base /opt/vantage --merge-install --cmake-args -DVANTAGE_FEATURES=ros,cuda

FROM ros:jazzy-ros-base
# NVRTC, its headers and the CUDA runtime; the driver comes with the container runtime
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates curl \
    && curl -fsSLO https://developer.download.nvidia.com/compute/cuda/repos/ubuntu2404/x86_64/cuda-keyring_1.1-1_all.deb \
    && dpkg -i cuda-keyring_1.1-1_all.deb && rm cuda-keyring_1.1-1_all.deb \
    && apt-get update && apt-get install -y --no-install-recommends \
        cuda-cudart-dev-12-8 cuda-nvrtc-12-8 \
        ros-jazzy-tf2-msgs ros-jazzy-vision-msgs ros-jazzy-visualization-msgs \
    && rm -rf /var/lib/apt/lists/*
ENV CUDA_PATH=/usr/local/cuda-12.8 LD_LIBRARY_PATH=/usr/local/cuda-12.8/lib64
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY --from=build /opt/vantage /opt/vantage
SHELL ["/bin/bash", "-c"]
ENTRYPOINT ["/bin/bash", "-c", ". /opt/ros/jazzy/setup.bash && . /opt/vantage/setup.bash && exec \"$@\"", "--"]
CMD ["ros2", "launch", "vantage_bringup", "vantage.launch.py"]
