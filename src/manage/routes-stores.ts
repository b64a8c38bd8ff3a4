/** Custom key stores, with what DescribeCustomKeyStores does not tell: HSMs, keys and the connect step under way. */
import { Router } from "express";
import type { ManageServices } from "./services.ts";

export function storeRoutes({ kms }: ManageServices): Router {
  return Router()
    .get("/stores", async (_request, response) => {
      response.json({ stores: await kms.stores() });
    })
    .post("/stores/:idOrName/connect", async (request, response) => {
      await kms.connect(request.params.idOrName);
      response.json({});
    })
    .post("/stores/:idOrName/disconnect", async (request, response) => {
      await kms.disconnect(request.params.idOrName);
      response.json({});
    });
}
