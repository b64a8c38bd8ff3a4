/** Health, readiness, metrics, info and reset. */
import { Router, type RequestHandler } from "express";
import { HttpRefusal } from "./errors.ts";
import { isTrusted } from "./guard.ts";
import type { ManageServices } from "./services.ts";

/** The open part: to callers without the token it tells no more than that the server lives. */
export function healthRoutes(services: ManageServices): Router {
  const health: RequestHandler = async (request, response) => {
    const { services: states, ...reports } = await services.health();
    // The members of LocalStack's answer, so that its wait strategies work here.
    const open = { services: states, edition: "keystead", version: services.version };
    response.json(isTrusted(request, services.managementToken) ? { ...open, ...reports } : open);
  };
  return Router()
    .get("/_keystead/health", health)
    .get("/_localstack/health", health)
    .get("/_keystead/ready", async (_request, response) => {
      const readiness = await services.ready();
      response.status(readiness.ready ? 200 : 503).json(readiness);
    });
}

export function serverRoutes(services: ManageServices): Router {
  return Router()
    .get("/info", (_request, response) => {
      response.json({ version: services.version, ...services.info() });
    })
    .get("/metrics", async (_request, response) => {
      response.setHeader("Content-Type", services.metrics.contentType);
      response.end(await services.metrics.metrics());
    })
    .post("/reset", async (request, response) => {
      const seed = request.query["seed"] ?? "demo";
      if (seed !== "demo" && seed !== "empty") throw new HttpRefusal(400, 'The seed is "demo" or "empty".');
      await services.reset(seed);
      response.json({ seed });
    });
}
