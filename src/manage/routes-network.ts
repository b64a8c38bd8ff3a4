/** The simulated VPC: AWS would do this through EC2, which keystead does not have. */
import { Router } from "express";
import { z } from "zod";
import { readBody } from "./errors.ts";
import type { ManageServices } from "./services.ts";

const newSubnet = z.strictObject({
  AvailabilityZone: z.string().min(1),
  CidrBlock: z.string().min(1).exactOptional(),
});
const fill = z.strictObject({ free: z.int().min(0) });

export function networkRoutes({ network }: ManageServices): Router {
  return Router()
    .get("/subnets", async (_request, response) => {
      response.json({ subnets: await network.subnets() });
    })
    .post("/subnets", async (request, response) => {
      response.status(201).json(await network.createSubnet(readBody(newSubnet, request)));
    })
    .post("/subnets/:id/fill", async (request, response) => {
      await network.fillSubnet(request.params.id, readBody(fill, request).free);
      response.json({});
    })
    .delete("/subnets/:id", async (request, response) => {
      await network.deleteSubnet(request.params.id);
      response.json({});
    })
    .get("/network-interfaces", async (_request, response) => {
      response.json({ networkInterfaces: await network.networkInterfaces() });
    })
    .get("/security-groups", async (_request, response) => {
      response.json({ securityGroups: await network.securityGroups() });
    });
}
