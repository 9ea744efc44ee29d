# For editors: what the manifest may say, arguments of the plugin included.
if command -v clockjack >/dev/null; then
  clockjack schema -f clockjack.yaml >clockjack.schema.json
fi
