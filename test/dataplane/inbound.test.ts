import { afterAll, beforeAll, beforeEach, describe, expect, inject, test } from "vitest";
import type { Backend } from "./backend.ts";
import { authorization, localRateLimit, strictMtls } from "./istio-objects.ts";
import type { Member, Mesh } from "./mesh.ts";
import { startMesh } from "./provided.ts";
import { expectToActAndGo, handWritten } from "./scenario.ts";
import { countStatuses, send, sendInOrder } from "./traffic.ts";
import { requestTo, Workloads } from "./workloads.ts";

describe.skipIf(inject("mesh").state === "skipped")("what the proxy of a server does", () => {
  let mesh: Mesh;
  let shop: Member;
  let guest: Member;
  let pay: Backend;
  let payAddress: string;

  beforeAll(async () => {
    mesh = await startMesh();
    const workloads = new Workloads(mesh);
    shop = await workloads.addClient("shop");
    guest = await workloads.addClient("guest");
    ({ backend: pay, address: payAddress } = await workloads.addProxiedService("pay"));
  });

  afterAll(async () => {
    await mesh?.stop();
  });

  beforeEach(() => {
    pay.reset();
  });

  test("requests beyond the rate get 429", async () => {
    await expectToActAndGo({
      delivery: handWritten(mesh, localRateLimit("pay", 7)),
      traffic: async () => countStatuses(await sendInOrder(30, requestTo("pay", shop))),
      inForce: { 200: 7, 429: 23 },
      without: { 200: 30 },
    });
    expect(pay.hits).toBe(30 + 7 + 30);
  });

  test("requests to a denied path get 403", async () => {
    const rules = [{ to: [{ operation: { paths: ["/admin*"] } }] }];
    const ask = async (path: string) => (await send(requestTo("pay", shop, { path }))).status;
    await expectToActAndGo({
      delivery: handWritten(mesh, authorization("pay", { action: "DENY", rules })),
      traffic: async () => ({ admin: await ask("/admin/users"), other: await ask("/orders") }),
      inForce: { admin: 403, other: 200 },
      without: { admin: 200, other: 200 },
    });
  });

  test("only the allowed service account gets through", async () => {
    const rules = [{ from: [{ source: { principals: ["cluster.local/ns/shop/sa/shop"] } }] }];
    const ask = async (from: Member) => (await send(requestTo("pay", from))).status;
    await expectToActAndGo({
      delivery: handWritten(mesh, authorization("pay", { action: "ALLOW", rules })),
      traffic: async () => ({ shop: await ask(shop), guest: await ask(guest) }),
      inForce: { shop: 200, guest: 403 },
      without: { shop: 200, guest: 200 },
    });
  });

  test("plain text is refused, and a proxied client notices nothing", async () => {
    const plain = { address: payAddress, port: 8080, host: "pay" };
    await expectToActAndGo({
      delivery: handWritten(mesh, strictMtls("pay")),
      traffic: async () => ({
        plain: await send(plain).then(
          ({ status }) => status,
          () => "no answer",
        ),
        proxied: (await send(requestTo("pay", shop))).status,
        caller: String(pay.headers["x-forwarded-client-cert"]).match(/URI=(spiffe:[^;]*shop\/sa\/shop)/)?.[1],
      }),
      inForce: { plain: "no answer", proxied: 200, caller: "spiffe://cluster.local/ns/shop/sa/shop" },
      without: { plain: 200, proxied: 200, caller: "spiffe://cluster.local/ns/shop/sa/shop" },
    });
  });
});
