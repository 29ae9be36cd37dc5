import { createPrivateKey, generateKeyPair, randomBytes, X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import { promisify } from "node:util";
import forge from "node-forge";
import { CA_LIFETIME_MS, CLOCK_SKEW_MS, type CertificateFacts, LEAF_LIFETIME_MS } from "./certificate-plan.ts";

export interface PemPair {
  readonly certPem: string;
  readonly keyPem: string;
}

export interface LeafRequest {
  /** DNS names and IP addresses. */
  readonly names: readonly string[];
  /** Wall clock, milliseconds since 1970. */
  readonly nowMs: number;
}

/** What every TLS client takes; one pair takes some 100 ms of native code, off the event loop. */
const RSA_BITS = 2_048;
/** Common names of our CAs begin like this, which tells them from foreign certificates in a bundle. */
const CA_NAME_PREFIX = "fairlead-ca-";
/** RFC 5280 allows 20 bytes; 16 random ones never meet. */
const SERIAL_BYTES = 16;

const generateKeys = promisify(generateKeyPair);

/** A new self-signed CA. */
export async function createAuthority(nowMs: number): Promise<PemPair> {
  const keyPem = await createKeyPem();
  const key = forge.pki.privateKeyFromPem(keyPem);
  const certificate = blankCertificate(key, { notBeforeMs: nowMs - CLOCK_SKEW_MS, notAfterMs: nowMs + CA_LIFETIME_MS });
  // The serial in the name keeps two CAs apart in every tool that shows names only.
  const subject = [{ name: "commonName", value: `${CA_NAME_PREFIX}${certificate.serialNumber.slice(0, 8)}` }];
  certificate.setSubject(subject);
  certificate.setIssuer(subject);
  certificate.setExtensions([
    { name: "basicConstraints", critical: true, cA: true, pathLenConstraint: 0 },
    { name: "keyUsage", critical: true, keyCertSign: true, cRLSign: true },
    { name: "subjectKeyIdentifier" },
  ]);
  certificate.sign(key, forge.md.sha256.create());
  return { certPem: unixLines(forge.pki.certificateToPem(certificate)), keyPem };
}

/** A serving certificate with a key of its own. It never outlives its CA. */
export async function signLeaf(authority: PemPair, { names, nowMs }: LeafRequest): Promise<PemPair> {
  const issuer = forge.pki.certificateFromPem(authority.certPem);
  const keyPem = await createKeyPem();
  const notAfterMs = Math.min(nowMs + LEAF_LIFETIME_MS, issuer.validity.notAfter.getTime());
  const notBeforeMs = Math.max(nowMs - CLOCK_SKEW_MS, issuer.validity.notBefore.getTime());
  const certificate = blankCertificate(forge.pki.privateKeyFromPem(keyPem), { notBeforeMs, notAfterMs });
  certificate.setSubject([{ name: "commonName", value: "fairlead" }]);
  certificate.setIssuer(issuer.subject.attributes);
  certificate.setExtensions([
    { name: "basicConstraints", critical: true, cA: false },
    { name: "keyUsage", critical: true, digitalSignature: true, keyEncipherment: true },
    { name: "extKeyUsage", serverAuth: true },
    { name: "subjectKeyIdentifier" },
    { name: "authorityKeyIdentifier", keyIdentifier: issuer.generateSubjectKeyIdentifier().getBytes() },
    { name: "subjectAltName", altNames: names.map(altName) },
  ]);
  certificate.sign(forge.pki.privateKeyFromPem(authority.keyPem), forge.md.sha256.create());
  return { certPem: unixLines(forge.pki.certificateToPem(certificate)), keyPem };
}

/** RSA keys come from node:crypto: node-forge would make them in JavaScript, on the event loop, for seconds. */
async function createKeyPem(): Promise<string> {
  const { privateKey } = await generateKeys("rsa", {
    modulusLength: RSA_BITS,
    publicKeyEncoding: { type: "spki", format: "pem" },
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
  });
  return privateKey;
}

function blankCertificate(
  key: forge.pki.rsa.PrivateKey,
  { notBeforeMs, notAfterMs }: { readonly notBeforeMs: number; readonly notAfterMs: number },
): forge.pki.Certificate {
  const certificate = forge.pki.createCertificate();
  certificate.publicKey = forge.pki.setRsaPublicKey(key.n, key.e);
  const serial = randomBytes(SERIAL_BYTES);
  // Positive (top bit clear) and without a leading zero byte, as DER wants integers.
  serial.writeUInt8(((serial[0] ?? 0) & 0x3f) | 0x40, 0);
  certificate.serialNumber = serial.toString("hex");
  certificate.validity.notBefore = new Date(notBeforeMs);
  certificate.validity.notAfter = new Date(notAfterMs);
  return certificate;
}

function altName(name: string): { type: number; value?: string; ip?: string } {
  return isIP(name) === 0 ? { type: 2, value: name } : { type: 7, ip: name };
}

/** node-forge writes CRLF, which would make equal bundles differ. */
function unixLines(pem: string): string {
  return pem.replaceAll("\r\n", "\n");
}

export interface ReadCertificate {
  readonly x509: X509Certificate;
  readonly facts: CertificateFacts;
  /** A CA that Fairlead made, going by its name. */
  readonly ours: boolean;
}

/** The first certificate of a PEM text, or undefined when it holds none that can be read. */
export function readCertificate(pem: string): ReadCertificate | undefined {
  return readCertificates(pem).certificates[0];
}

/** All certificates of a PEM text; `readable` is false when there is anything beside them. */
export function readCertificates(text: string): {
  readonly certificates: readonly ReadCertificate[];
  readonly readable: boolean;
} {
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
  const rest = blocks.reduce((left, block) => left.replace(block, ""), text);
  const certificates = blocks.flatMap((block) => parse(block) ?? []);
  return { certificates, readable: certificates.length === blocks.length && rest.trim() === "" };
}

function parse(block: string): ReadCertificate | undefined {
  try {
    const x509 = new X509Certificate(block);
    const facts = {
      pem: `${block}\n`,
      fingerprint: x509.fingerprint256,
      notBeforeMs: x509.validFromDate.getTime(),
      notAfterMs: x509.validToDate.getTime(),
    };
    return { x509, facts, ours: x509.ca && x509.subject.includes(CA_NAME_PREFIX) };
  } catch {
    return undefined;
  }
}

/** Whether the key is readable and belongs to the certificate. */
export function keyMatches(certificate: X509Certificate, keyPem: string): boolean {
  try {
    return certificate.checkPrivateKey(createPrivateKey(keyPem));
  } catch {
    return false;
  }
}

export function isIssuedBy(certificate: X509Certificate, authority: X509Certificate): boolean {
  return authority.ca && certificate.checkIssued(authority) && certificate.verify(authority.publicKey);
}

export function missingNames(certificate: X509Certificate, names: readonly string[]): string[] {
  return names.filter((name) =>
    isIP(name) === 0
      ? certificate.checkHost(name, { subject: "never", wildcards: false }) === undefined
      : certificate.checkIP(name) === undefined,
  );
}
