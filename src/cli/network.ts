/** Subnets of the simulated VPC, to make SUBNET_NOT_FOUND and a full subnet happen for real. */
import type { Command } from "commander";
import { Refusal } from "../core/errors.ts";
import type { SubnetView } from "../manage/wire.ts";
import { show, table } from "./output.ts";
import { sessionOf } from "./session.ts";

export function networkCommands(program: Command): void {
  const subnet = program.command("subnet").description("subnets of the simulated VPC (AWS has them in EC2)");
  subnet.command("list").description("list subnets with their free addresses").action(listSubnets);
  subnet
    .command("create")
    .description("create a private subnet")
    .requiredOption("--availability-zone <zone>", "for example us-east-1a")
    .option("--cidr-block <cidr>", "for example 10.0.64.0/24 (default: the next free block)")
    .action(createSubnet);
  subnet
    .command("fill")
    .description("take addresses until exactly --free are left")
    .argument("<subnet id>", "the subnet")
    .requiredOption("--free <count>", "free addresses to leave", wholeNumber)
    .action(async (id: string, { free }: { free: number }, command: Command) => {
      const { client, format } = sessionOf(command);
      await client.post(`subnets/${encodeURIComponent(id)}/fill`, { free });
      show(format, { data: { SubnetId: id, free }, text: `${id} has ${free} free addresses`, ids: [id] });
    });
  subnet
    .command("delete")
    .description("delete a subnet, even one a cluster's configuration names")
    .argument("<subnet id>", "the subnet")
    .action(async (id: string, _options: object, command: Command) => {
      const { client, format } = sessionOf(command);
      await client.delete(`subnets/${encodeURIComponent(id)}`);
      show(format, { data: { SubnetId: id }, text: `${id} is deleted`, ids: [id] });
    });
}

export function wholeNumber(text: string): number {
  if (!/^\d+$/.test(text)) throw new Refusal(`"${text}" is not a whole number.`, 2);
  return Number(text);
}

async function listSubnets(_options: object, command: Command): Promise<void> {
  const { client, format } = sessionOf(command);
  const { subnets } = await client.get<{ subnets: readonly SubnetView[] }>("subnets");
  const rows = subnets.map((subnet) => [
    subnet.SubnetId,
    subnet.AvailabilityZone,
    subnet.CidrBlock,
    String(subnet.AvailableIpAddressCount),
  ]);
  show(format, {
    data: { subnets },
    text: table(["ID", "ZONE", "CIDR", "FREE"], rows),
    ids: subnets.map((subnet) => subnet.SubnetId),
  });
}

async function createSubnet(
  options: { availabilityZone: string; cidrBlock?: string },
  command: Command,
): Promise<void> {
  const { client, format } = sessionOf(command);
  const subnet = await client.post<SubnetView>("subnets", {
    AvailabilityZone: options.availabilityZone,
    CidrBlock: options.cidrBlock,
  });
  show(format, {
    data: subnet,
    text: `${subnet.SubnetId}  ${subnet.AvailabilityZone}  ${subnet.CidrBlock}`,
    ids: [subnet.SubnetId],
  });
}
