import { beforeAll, beforeEach, test } from "vitest";
import { strictNamespace } from "./istio-objects.ts";
import type { Member } from "./mesh.ts";
import { ServicePolicy } from "./policy.ts";
import { between, expectToFollow } from "./scenario.ts";
import { ELSEWHERE, type Stage } from "./stage.ts";
import { countStatuses, type HttpRequest, send, sendInOrder, statusOf } from "./traffic.ts";
import { POD_PORT, requestTo } from "./workloads.ts";

const RATE = 7;
/** Sent within ten seconds, in each of which so many are let through. */
const MANY = 100;

/** What the proxy of a server does with the requests that it receives. */
export function serverSide(stage: () => Stage): void {
  let policy: ServicePolicy;

  beforeAll(() => {
    policy = new ServicePolicy(stage().mesh, "pay");
  });

  beforeEach(() => {
    stage().pay.backend.reset();
  });

  /** How a client behind a proxy is answered. */
  async function ask(client: Member, rest: Partial<HttpRequest> = {}): Promise<number> {
    return (await send(requestTo("pay", client, rest))).status;
  }

  /** How a client without a proxy is answered, in plain text. */
  function askPlainly(from?: string): Promise<number | string> {
    const { address } = stage().pay;
    return statusOf({ address, port: POD_PORT, host: "pay", ...(from !== undefined && { from }) });
  }

  test("requests beyond the rate get 429 and do not reach the backend", async () => {
    const { client, pay } = stage();
    const both = { allReached: true, plain: 200 };
    const limited = (requestsPerSecond: number) => ({ rateLimit: { requestsPerSecond } });
    await expectToFollow({
      policy,
      traffic: async () => {
        pay.backend.reset();
        const counts = countStatuses(await sendInOrder(MANY, requestTo("pay", client)));
        const allReached = pay.backend.hits === counts[200];
        // Plain text is counted apart: there are requests left for it.
        return { ...counts, allReached, plain: await askPlainly() };
      },
      steps: [
        [limited(RATE), { 200: between(RATE, 10 * RATE), 429: between(MANY - 10 * RATE, MANY - RATE), ...both }],
        [limited(MANY), { 200: MANY, ...both }],
      ],
      without: { 200: MANY, ...both },
    });
  });

  test("only clients whom allow names get through", async () => {
    const { client, guest, stranger } = stage();
    const account = (name: string) => ({ from: { serviceAccounts: [{ name, namespace: "shop" }] } });
    const reading = { from: { namespaces: [ELSEWHERE] }, to: { methods: ["GET"] } };
    await expectToFollow({
      policy,
      traffic: async () => ({
        client: await ask(client),
        guest: await ask(guest),
        strangerReads: await ask(stranger),
        strangerWrites: await ask(stranger, { method: "POST" }),
        plain: await askPlainly(),
      }),
      steps: [
        [
          { authorization: { allow: [account("client"), reading] } },
          { client: 200, guest: 403, strangerReads: 200, strangerWrites: 403, plain: 403 },
        ],
        [
          { authorization: { allow: [account("guest")] } },
          { client: 403, guest: 200, strangerReads: 403, strangerWrites: 403, plain: 403 },
        ],
      ],
      without: { client: 200, guest: 200, strangerReads: 200, strangerWrites: 200, plain: 200 },
    });
  });

  test("requests that deny names are refused, until the section goes", async () => {
    const { client } = stage();
    const to = { paths: [{ value: "/admin" }], methods: ["DELETE"] };
    const without = { inside: 200, reading: 200, beside: 200, other: 200 };
    await expectToFollow({
      policy,
      traffic: async () => ({
        inside: await ask(client, { method: "DELETE", path: "/admin/users" }),
        reading: await ask(client, { path: "/admin/users" }),
        beside: await ask(client, { method: "DELETE", path: "/administrators" }),
        other: await ask(client, { method: "DELETE", path: "/orders" }),
      }),
      steps: [
        [{ authorization: { deny: [{ to }] } }, { ...without, inside: 403 }],
        [{ mtls: { mode: "Permissive" } }, without],
      ],
      without,
    });
  });

  test("only clients of the network get through", async () => {
    await expectToFollow({
      policy,
      traffic: async () => ({ inside: await askPlainly("10.200.0.70"), outside: await askPlainly("10.200.0.130") }),
      steps: [[{ authorization: { allow: [{ from: { cidrs: ["10.200.0.64/26"] } }] } }, { inside: 200, outside: 403 }]],
      without: { inside: 200, outside: 200 },
    });
  });

  test("Strict refuses plain text, and a proxied client notices nothing", async () => {
    const { client, pay } = stage();
    const proxied = { proxied: 200, caller: "spiffe://cluster.local/ns/shop/sa/client" };
    await expectToFollow({
      policy,
      traffic: async () => ({
        plain: await askPlainly(),
        proxied: await ask(client),
        caller: String(pay.backend.headers["x-forwarded-client-cert"]).match(/URI=(spiffe:[^;]*sa\/client)/)?.[1],
      }),
      steps: [
        [{ mtls: { mode: "Strict" } }, { plain: "no answer", ...proxied }],
        [{ mtls: { mode: "Permissive" } }, { plain: 200, ...proxied }],
      ],
      without: { plain: 200, ...proxied },
    });
  });

  test("Permissive answers plain text where the namespace asks for mutual TLS", async () => {
    const { client, mesh } = stage();
    const ofNamespace = [strictNamespace()];
    await mesh.apply(ofNamespace);
    try {
      await expectToFollow({
        policy,
        traffic: async () => ({ plain: await askPlainly(), proxied: await ask(client) }),
        steps: [[{ mtls: { mode: "Permissive" } }, { plain: 200, proxied: 200 }]],
        without: { plain: "no answer", proxied: 200 },
      });
    } finally {
      await mesh.remove(ofNamespace);
    }
  });
}
