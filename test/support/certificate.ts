/**
 * A self-signed certificate for "localhost" and 127.0.0.1, and its key, for tests of TLS and nothing else. Made with
 *
 *   openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 36500 -subj /CN=localhost \
 *     -addext subjectAltName=DNS:localhost,IP:127.0.0.1
 */
export const cert = `-----BEGIN CERTIFICATE-----
MIIBnDCCAUGgAwIBAgIUeA6JyRAQFms5r1sZdD3fWdRDBGowCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMzE0NDYxNFoYDzIxMjYxMDMw
MTQ0NjE0WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAASKUVRqikYmzW3qUJfJW5z29CD0zyI8+C/bIyODtadmurRC4fDmS/AL
Da5ugumdy9pJIukM/WIdUFg/lqfBedQZo28wbTAdBgNVHQ4EFgQU8dHU01wce6zt
BkqAVdJhU4x3i3cwHwYDVR0jBBgwFoAU8dHU01wce6ztBkqAVdJhU4x3i3cwDwYD
VR0TAQH/BAUwAwEB/zAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEwCgYIKoZI
zj0EAwIDSQAwRgIhAL1KSX8F9LsJlmwl7Wjc+A+RH703DfsurFdlG4iEGdqZAiEA
ocRyX7rMgevSoaVs4g9vbnK5MG/a5S7rASoBsJdeTy8=
-----END CERTIFICATE-----`

export const key = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg6gOFmbD7PB5XZZC7
9PBiS25tH/esoAGGqWgK2OUMzkmhRANCAASKUVRqikYmzW3qUJfJW5z29CD0zyI8
+C/bIyODtadmurRC4fDmS/ALDa5ugumdy9pJIukM/WIdUFg/lqfBedQZ
-----END PRIVATE KEY-----`
