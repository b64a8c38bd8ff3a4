/** Clusters for people who just want one, backups, the operator's verbs, and where a cluster's token is. */
import { Router } from "express";
import { z } from "zod";
import { readBody } from "./errors.ts";
import type { ManageServices } from "./services.ts";

const password = z.string().min(7).max(32);
const wish = z.strictObject({
  hsms: z.int().min(1).max(28).default(2),
  activate: z.boolean().default(false),
  adminPassword: password.exactOptional(),
  kmsuserPassword: password.exactOptional(),
});
const restoreWish = wish.pick({ hsms: true });
const passwords = z.strictObject({
  adminPassword: password.exactOptional(),
  kmsuserPassword: password.exactOptional(),
});
const operatorRequest = z.strictObject({
  command: z.string().min(1),
  args: z.record(z.string(), z.string()).default({}),
  credentials: z
    .strictObject({ role: z.string(), username: z.string(), password: z.string() })
    .exactOptional(),
  session: z.string().min(1).exactOptional(),
});

export function clusterRoutes({ clusters }: ManageServices): Router {
  return Router()
    .get("/clusters", async (_request, response) => {
      response.json({ clusters: await clusters.list() });
    })
    .post("/clusters", async (request, response) => {
      response.status(201).json(await clusters.create(readBody(wish, request)));
    })
    .post("/clusters/:id/init", async (request, response) => {
      response.json(await clusters.initialize(request.params.id, readBody(passwords, request)));
    })
    .post("/clusters/:id/hsm", async (request, response) => {
      // A refused verb is an answer, not an HTTP error: cloudhsm-cli's envelope carries its own error_code.
      response.json(await clusters.operate(request.params.id, readBody(operatorRequest, request)));
    })
    .get("/backups", async (_request, response) => {
      response.json({ backups: await clusters.backups() });
    })
    .post("/backups/:id/restore", async (request, response) => {
      const { hsms } = readBody(restoreWish, request);
      response.status(201).json(await clusters.restore({ backupId: request.params.id, hsms }));
    })
    .get("/pkcs11", async (_request, response) => {
      response.json(await clusters.pkcs11());
    });
}
