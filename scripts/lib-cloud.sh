# Sourced by those who start pools (scripts/up, tests/lab/lab), after lib.sh:
# does the API answer, and the files a client wants. They look at
#   $node     the node's directory, of which passwords and CA are taken
#   $out      where those files go
#   $address  the node's; $url is made of it

user_domain=Default
identity=/identity/v3

# aim ADDRESS: whom the rest is about.
aim()
{
    address=$1
    url=https://$address
}

# The public half of the node's CA, where cairnd puts it at first start.
ca_of_node()
{
    echo "$node/fs/var/lib/cairn/pki/api/ca.crt"
}

api_answers()
{
    [ -s "$(ca_of_node)" ] && curl --noproxy '*' --silent --fail \
        --max-time 5 --output /dev/null --cacert "$(ca_of_node)" \
        "$url$identity"
}

# openrc USER PROJECT PASSWORD-FILE
openrc()
{
    cat <<-END
	export OS_AUTH_URL=$url$identity
	export OS_IDENTITY_API_VERSION=3
	export OS_REGION_NAME=RegionOne
	export OS_USERNAME=$1
	export OS_PROJECT_NAME=$2
	export OS_USER_DOMAIN_NAME=$user_domain
	export OS_PROJECT_DOMAIN_NAME=$user_domain
	export OS_PASSWORD=$(cat "$3")
	export OS_CACERT=$out/ca.crt
	export no_proxy="\${no_proxy:+\$no_proxy,}$address"
	unset OS_CLOUD
	END
}

# cloud NAME USER PROJECT PASSWORD-FILE
cloud()
{
    cat <<-END
	  $1:
	    auth:
	      auth_url: $url$identity
	      username: $2
	      project_name: $3
	      user_domain_name: $user_domain
	      project_domain_name: $user_domain
	      password: "$(cat "$4")"
	    identity_api_version: 3
	    region_name: RegionOne
	    verify: true
	    cacert: $out/ca.crt
	END
}

# All of them. More nodes of the pool may be added to clouds.yaml.
write_credentials()
{
    local etc=$node/fs/etc/cairn
    cp "$(ca_of_node)" "$out/ca.crt" || return 1
    (
        umask 077
        rm -f "$out"/{openrc,openrc-demo,clouds.yaml}
        openrc admin admin "$etc/admin-password" >"$out/openrc" &&
            openrc demo demo "$etc/demo-password" >"$out/openrc-demo" && {
            echo "clouds:"
            cloud cairn admin admin "$etc/admin-password"
            cloud cairn-demo demo demo "$etc/demo-password"
        } >"$out/clouds.yaml"
    )
}
