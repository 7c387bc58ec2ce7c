/**
 * What `atsss run` has every Node process require. CommonJS, so that a Node that cannot require the rest of this package says so in
 * plain words, and not by ERR_REQUIRE_ESM.
 */
const features = process.features as { require_module?: boolean }

if (features.require_module) require('./register.js')
else {
  process.stderr.write(
    `atsss: this program is run by Node.js ${process.versions.node}, which is too old: atsss needs Node.js 20.19 or later, of 22 at least 22.12. Run it with another Node, or without "atsss run"\n`,
  )
  process.exit(1)
}
