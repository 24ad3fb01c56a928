"""A network, a volume, an image and a container that uses them all."""

import pulumi
import pulumi_docker as docker

config = pulumi.Config()
text = config.get("text") or "one"

network = docker.Network(
    "net",
    driver="bridge",
    ipam_configs=[docker.NetworkIpamConfigArgs(subnet="172.29.240.0/24", gateway="172.29.240.1")],
    labels=[docker.NetworkLabelArgs(label="cases", value="yes")],
)
volume = docker.Volume("data")
image = docker.Image(
    "app",
    image_name="docker.io/cases/app:dev",
    build=docker.DockerBuildArgs(
        context="app",
        dockerfile="app/Dockerfile",
        args={"BASE_IMAGE": config.require("base")},
    ),
    skip_push=True,
)
container = docker.Container(
    "server",
    image=image.image_name,
    command=["sleep", "3600"],
    restart="unless-stopped",
    envs=["A=1", f"TEXT={text}"],
    networks_advanced=[docker.ContainerNetworksAdvancedArgs(name=network.name)],
    ports=[docker.ContainerPortArgs(internal=80, external=18099, ip="127.0.0.1")],
    uploads=[
        docker.ContainerUploadArgs(file="/etc/case.conf", content=pulumi.Output.secret("top-secret-text"))
    ],
    volumes=[docker.ContainerVolumeArgs(volume_name=volume.name, container_path="/data")],
    labels=[docker.ContainerLabelArgs(label="cases", value="yes")],
    memory=64 if text == "one" else 96,
    opts=pulumi.ResourceOptions(additional_secret_outputs=["uploads"]),
)
pulumi.export("digest", image.repo_digest)
pulumi.export("container", container.name)
