"""The words of the benchmark's events and rules: names, folders, arguments and patterns."""

# ruff: noqa: S108  # the temporary folders are only text in events and rules

from random import Random


def seeded_random(seed: int) -> Random:
    """Return a generator of random numbers that are the same in every run."""
    return Random(seed)  # noqa: S311  # benchmark data, no secrets


def words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


COMMON = words(
    "sh bash cat grep ls sleep python3 node java date sed awk head tail cut tr wc sort uniq basename "
    "dirname find xargs env id hostname uname stat mkdir rm cp mv ln touch chmod chown ps df du free"
)
RARE = words(
    "nginx redis-server postgres psql pg_isready mysqld mysql mysqladmin mongod mongosh etcd etcdctl "
    "kubelet kube-proxy containerd dockerd runc coredns flanneld calico-node haproxy envoy traefik "
    "varnishd memcached rabbitmqctl beam.smp erl epmd consul vault nomad prometheus node_exporter "
    "grafana-server alertmanager loki promtail fluentd fluent-bit filebeat metricbeat packetbeat "
    "logrotate cron crond anacron atd systemd systemctl journalctl udevadm dbus-daemon rsyslogd chronyd "
    "ntpq auditd auditctl polkitd snapd apt apt-get dpkg dpkg-query dpkg-deb rpm yum dnf apk pip pip3 npm "
    "npx yarn pnpm tsc webpack esbuild go gofmt cargo rustc gcc g++ cc1 ld as ar make cmake ninja git "
    "git-remote-https git-upload-pack hg svn rsync tar gzip gunzip bzip2 xz zstd unzip zip openssl "
    "gpg gpgv curl wget dig nslookup host ping traceroute ss netstat ip iptables nft ethtool tcpdump "
    "perl ruby php php-fpm lua gunicorn uwsgi celery airflow jupyter ipython gradle mvn javac jps jstack "
    "jcmd kubectl helm terraform ansible ansible-playbook aws gcloud az jq yq vim nano less more man "
    "tmux screen su sudo login getent groups whoami tty stty clear tput timeout nice renice nohup kill "
    "pkill pgrep pidof lsof fuser strace mount umount lsblk blkid fsck sync dd losetup lvm mdadm "
    "smartctl sensors lspci lsusb dmidecode"
)
NAMES = (*COMMON, *RARE)
PARENTS = words(
    "bash sh systemd containerd-shim runc cron nginx node java python3 make sudo tmux sshd dockerd "
    "gunicorn php-fpm supervisord tini dumb-init"
)
FOLDERS = (
    "/usr/bin",
    "/usr/bin",
    "/usr/bin",
    "/bin",
    "/usr/sbin",
    "/usr/local/bin",
    "/opt/app/bin",
)
WORDS = words(
    "-l -a -v -n -q --version --help --quiet -la -rf -i -o -s -t -e --color=auto /etc/hosts /proc/1/status "
    "/var/log/app.log /data/queue /srv/www/index.html /tmp/build-4711 8080 localhost http://10.0.0.7:9200/ "
    "s/a/b/ -name *.log --format=json get pods start stop status main origin main.py server.js"
)
SCRIPTS = (
    "exec node server.js",
    "date +%s > /tmp/alive",
    "cat /proc/meminfo | grep MemFree",
    "test -f /run/ready || exit 1",
    "pg_isready -U app -h localhost",
    "for f in /data/in/*; do gzip $f; done",
    "curl -fsS http://localhost:8080/healthz",
)
SHELLS = ("sh", "bash", "dash", "zsh")
TOOLS = words(
    "nc ncat socat telnet nmap masscan chisel proxychains gdb strace ltrace xxd base64 base32 openssl dd "
    "shred insmod rmmod modprobe kmod setcap getcap chattr lsattr useradd usermod passwd visudo crontab at "
    "systemctl iptables nft ufw setenforce auditctl journalctl mount umount chroot unshare nsenter debugfs "
    "docker ctr crictl kubectl helm tcpdump tshark xclip scp sftp rclone ftp tftp split zip 7z john hashcat "
    "hydra sqlmap find awk vim less git pip npm gcc ld make perl ruby php lua curl wget dig host whoami"
)
FAMILIES = ("python*", "perl*", "ruby*", "php*", "lua*", "node*", "java*", "ncat*", "gdb*", "pip3*")
PIECES = (
    "*/dev/tcp/*",
    "*base64 -d*",
    "*/etc/shadow*",
    "*/root/.ssh/*",
    "*authorized_keys*",
    "*LD_PRELOAD*",
    "*169.254.169.254*",
    "*/var/run/docker.sock*",
    "*chmod +x /tmp*",
    "*|sh",
    "*.onion*",
    "*stratum+tcp*",
    "*nohup*setsid*",
    "*import pty*",
    "*history -c*",
)
SWITCHES = ("-e", "-c", "-l", "--exec", "-p", "--pid", "-d", "--decode", "-w", "+i", "-rf", "-k")
PLACES = (
    "/tmp/*",
    "/dev/shm/*",
    "/var/tmp/*",
    "/run/user/*",
    "/var/www/*",
    "/home/*/.cache/*",
    "/mnt/*",
)
HARMLESS = (
    "/usr/bin/dpkg",
    "/usr/bin/apt*",
    "/opt/puppetlabs/*",
    "/usr/bin/ansible*",
    "/usr/lib/systemd/systemd",
    "/opt/datadog-agent/*",
    "/snap/*",
)
SERVERS = (
    "nginx",
    "httpd",
    "apache2",
    "php-fpm",
    "node",
    "java",
    "gunicorn",
    "postgres",
    "redis-server",
)
WINDOWS = ("powershell.exe", "cmd.exe", "rundll32.exe", "regsvr32.exe", "mshta.exe", "certutil.exe")
