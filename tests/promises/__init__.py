"""The promises about loss, load and attack: crashes, power cuts, full disks, locks, overload."""
