import { expect, test } from "vitest";
import type { Member } from "./mesh.ts";
import { hostOf, NAMESPACE, servicePort } from "./objects.ts";
import { ServicePolicies, ServicePolicy } from "./policy.ts";
import { expectToFollow } from "./scenario.ts";
import { AT_PAY, type Stage } from "./stage.ts";
import { countStatuses, type HttpRequest, sendInOrder, statusOf } from "./traffic.ts";
import { type ServedPort, requestTo } from "./workloads.ts";

const { pay, admin, nodes, ledger } = AT_PAY;
const OPEN = { client: 200, guest: 200, plain: 200 };
const ONLY_CLIENT = { client: 200, guest: 403, plain: "no answer" };
/** Sent in less than ten seconds, in each of which fewer than a tenth of them are let through where there is a limit. */
const MANY = 100;

function onlyFrom(name: string): object {
  return { authorization: { allow: [{ from: { serviceAccounts: [{ name, namespace: NAMESPACE }] } }] } };
}

/** What the proxy of a server does at one port, and that it does so at no other port of the same Pod. */
export function samePod(stage: () => Stage): void {
  /** A request over a proxy. Where it knows no HTTP this is a connection like any other, with bytes in both directions. */
  function over(from: Member, { name, port, protocol }: ServedPort): HttpRequest {
    return requestTo(name, from, { port: servicePort(port, protocol) });
  }

  /** How clients with a proxy are answered where this Service leads to, and one without, in plain text. */
  async function seenAt(served: ServedPort): Promise<object> {
    const { client, guest, pay: pod } = stage();
    const { address } = pod;
    return {
      client: await statusOf(over(client, served)),
      guest: await statusOf(over(guest, served)),
      plain: await statusOf({ address, port: served.port, host: hostOf(served.name) }),
    };
  }

  async function isLimited(served: ServedPort): Promise<boolean> {
    const { 200: passed = 0, 429: refused = 0 } = countStatuses(await sendInOrder(MANY, over(stage().client, served)));
    expect(passed + refused).toBe(MANY);
    return refused > 0;
  }

  test("two Services guard a port each, as one policy changes and the other goes", async () => {
    const ofPay = { mtls: { mode: "Strict" }, ...onlyFrom("client") };
    const ofAdmin = { mtls: { mode: "Strict" }, ...onlyFrom("guest") };
    const changed = { mtls: { mode: "Permissive" }, ...onlyFrom("client") };
    await expectToFollow({
      policy: new ServicePolicies(stage()),
      traffic: async () => ({ pay: await seenAt(pay), admin: await seenAt(admin) }),
      steps: [
        [{ [pay.name]: ofPay }, { pay: ONLY_CLIENT, admin: OPEN }],
        [
          { [pay.name]: ofPay, [admin.name]: ofAdmin },
          { pay: ONLY_CLIENT, admin: { client: 403, guest: 200, plain: "no answer" } },
        ],
        [
          { [pay.name]: ofPay, [admin.name]: changed },
          { pay: ONLY_CLIENT, admin: { ...ONLY_CLIENT, plain: 403 } },
        ],
        [{ [admin.name]: changed }, { pay: OPEN, admin: { ...ONLY_CLIENT, plain: 403 } }],
      ],
      without: { pay: OPEN, admin: OPEN },
    });
  });

  test("a limit counts at its own port", async () => {
    const limited = (requestsPerSecond: number) => ({ rateLimit: { requestsPerSecond } });
    await expectToFollow({
      policy: new ServicePolicies(stage()),
      traffic: async () => ({ pay: await isLimited(pay), admin: await isLimited(admin) }),
      steps: [
        [
          { [pay.name]: limited(7), [admin.name]: limited(5) },
          { pay: true, admin: true },
        ],
        [{ [admin.name]: limited(5) }, { pay: false, admin: true }],
      ],
      without: { pay: false, admin: false },
    });
  });

  test("a headless Service is guarded like any other", async () => {
    await expectToFollow({
      policy: new ServicePolicy(stage().mesh, nodes.name),
      traffic: async () => ({ nodes: await seenAt(nodes), pay: await seenAt(pay) }),
      steps: [
        [
          { mtls: { mode: "Strict" }, ...onlyFrom("client") },
          { nodes: ONLY_CLIENT, pay: OPEN },
        ],
      ],
      without: { nodes: OPEN, pay: OPEN },
    });
  });

  test("where no HTTP is spoken a client who is not allowed is cut off", async () => {
    await expectToFollow({
      policy: new ServicePolicy(stage().mesh, ledger.name),
      traffic: async () => ({ ledger: await seenAt(ledger), pay: await seenAt(pay) }),
      steps: [[onlyFrom("client"), { ledger: { client: 200, guest: "no answer", plain: "no answer" }, pay: OPEN }]],
      without: { ledger: OPEN, pay: OPEN },
    });
  });
}
