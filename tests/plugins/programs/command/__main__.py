"""Commands in all their shapes."""

import pulumi
from pulumi_command import local

config = pulumi.Config()
text = config.get("text") or "hello"

plain = local.Command(
    "plain",
    create="echo create $WORD; cat; echo err >&2",
    update="echo update $WORD after $PULUMI_COMMAND_STDOUT",
    delete="echo delete $WORD",
    stdin="from stdin",
    environment={"WORD": text},
    opts=pulumi.ResourceOptions(additional_secret_outputs=["stdout"]),
)
local.Command("triggered", create="echo triggered", triggers=[text, plain.stderr])
asset = local.Command("assets", create="echo x > out.txt", dir=config.require("dir"), asset_paths=["*.txt"])
pulumi.export("plain", plain.stdout)
pulumi.export("stderr", plain.stderr)
pulumi.export("assets", asset.assets)
pulumi.export("ran", local.run_output(command="echo ran").stdout)
