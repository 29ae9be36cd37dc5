import { generateKeyPair, randomBytes } from "node:crypto";
import { promisify } from "node:util";
import forge from "node-forge";

const KEY_BITS = 2048;
const VALIDITY_DAYS = 30;
const DAY_MS = 24 * 60 * 60_000;
/** Certificates begin in the past, so that a clock that is a little behind accepts them. */
const BACKDATE_MS = 60 * 60_000;

const SERVING_NAMES = [
  "localhost",
  "kubernetes",
  "kubernetes.default",
  "kubernetes.default.svc",
  "kubernetes.default.svc.cluster.local",
];
/** The loopback address, and the first address of the Service range, which the Service "kubernetes" gets. */
const SERVING_ADDRESSES = ["127.0.0.1", "10.96.0.1"];

/** GeneralName of RFC 5280, section 4.2.1.6. */
const ALT_NAME_TYPES = { dns: 2, uri: 6, address: 7 } as const;

interface KeyPair {
  readonly privatePem: string;
  readonly publicPem: string;
}

export interface Certificate {
  readonly certPem: string;
  readonly keyPem: string;
}

/** Who a client certificate stands for: Kubernetes reads the user from CN and the groups from O. */
export interface ClientIdentity {
  readonly user: string;
  readonly groups?: readonly string[];
}

export interface ControlPlaneCertificates {
  readonly ca: Certificate;
  readonly serving: Certificate;
  readonly admin: Certificate;
  readonly controllerManager: Certificate;
  readonly serviceAccount: KeyPair;
}

/** Makes everything the control plane needs; the CA is new each time and trusted by nothing else. */
export async function createCertificates(): Promise<ControlPlaneCertificates> {
  const [ca, serviceAccount] = await Promise.all([createAuthority("fairlead-dev-ca"), newKeyPair()]);
  const [serving, admin, controllerManager] = await Promise.all([
    issueServing(ca),
    issueClient(ca, { user: "fairlead-admin", groups: ["system:masters"] }),
    issueClient(ca, { user: "system:kube-controller-manager" }),
  ]);
  return { ca, serving, admin, controllerManager, serviceAccount };
}

/** Makes a CA that signs itself. */
export async function createAuthority(name: string): Promise<Certificate> {
  return sign(await newKeyPair(), { subject: { user: name }, extensions: caExtensions() });
}

/** Issues a certificate with which a client is the given user in the given groups. */
export async function issueClient(ca: Certificate, identity: ClientIdentity): Promise<Certificate> {
  return sign(await newKeyPair(), { subject: identity, extensions: leafExtensions({ clientAuth: true }), issuer: ca });
}

/** Issues a certificate for a server on this machine, which shows the same one where it is a client, as at etcd. */
export async function issueServing(ca: Certificate, name = "kube-apiserver"): Promise<Certificate> {
  const altNames = [
    ...SERVING_NAMES.map((value) => ({ type: ALT_NAME_TYPES.dns, value })),
    ...SERVING_ADDRESSES.map((ip) => ({ type: ALT_NAME_TYPES.address, ip })),
  ];
  return issuePeer(ca, { user: name }, altNames);
}

/** Issues a certificate whose name is a URI and nothing else, as the workloads of a mesh have it. */
export async function issueWorkload(ca: Certificate, uri: string): Promise<Certificate> {
  return issuePeer(ca, { user: "workload" }, [{ type: ALT_NAME_TYPES.uri, value: uri }]);
}

async function issuePeer(ca: Certificate, subject: ClientIdentity, altNames: object[]): Promise<Certificate> {
  const extensions = [...leafExtensions({ serverAuth: true, clientAuth: true }), { name: "subjectAltName", altNames }];
  return sign(await newKeyPair(), { subject, extensions, issuer: ca });
}

interface SigningRequest {
  readonly subject: ClientIdentity;
  readonly extensions: object[];
  /** Without an issuer the certificate is signed by its own key. */
  readonly issuer?: Certificate;
}

function sign(keys: KeyPair, request: SigningRequest): Certificate {
  const certificate = forge.pki.createCertificate();
  certificate.publicKey = forge.pki.publicKeyFromPem(keys.publicPem);
  // A serial number is a positive integer, so its first byte stays below 0x80.
  certificate.serialNumber = `01${randomBytes(15).toString("hex")}`;
  certificate.validity.notBefore = new Date(Date.now() - BACKDATE_MS);
  certificate.validity.notAfter = new Date(Date.now() + VALIDITY_DAYS * DAY_MS);
  const subject = distinguishedName(request.subject);
  certificate.setSubject(subject);
  const { issuer } = request;
  certificate.setIssuer(
    issuer === undefined ? subject : forge.pki.certificateFromPem(issuer.certPem).subject.attributes,
  );
  certificate.setExtensions(request.extensions);
  certificate.sign(forge.pki.privateKeyFromPem(issuer?.keyPem ?? keys.privatePem), forge.md.sha256.create());
  return { certPem: forge.pki.certificateToPem(certificate), keyPem: keys.privatePem };
}

function distinguishedName(identity: ClientIdentity): forge.pki.CertificateField[] {
  const groups = (identity.groups ?? []).map((value) => ({ shortName: "O", value }));
  return [...groups, { shortName: "CN", value: identity.user }];
}

function caExtensions(): object[] {
  return [
    { name: "basicConstraints", cA: true, critical: true },
    { name: "keyUsage", keyCertSign: true, cRLSign: true, critical: true },
  ];
}

function leafExtensions(usage: { clientAuth?: boolean; serverAuth?: boolean }): object[] {
  return [
    { name: "basicConstraints", cA: false, critical: true },
    { name: "keyUsage", digitalSignature: true, keyEncipherment: true, critical: true },
    { name: "extKeyUsage", ...usage },
  ];
}

/** Node makes the keys in its thread pool, which is many times faster than forge in JavaScript. */
async function newKeyPair(): Promise<KeyPair> {
  const keys = await promisify(generateKeyPair)("rsa", {
    modulusLength: KEY_BITS,
    publicKeyEncoding: { type: "spki", format: "pem" },
    privateKeyEncoding: { type: "pkcs1", format: "pem" },
  });
  return { privatePem: keys.privateKey, publicPem: keys.publicKey };
}
