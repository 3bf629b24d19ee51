from app.accounts import passwords


def test_only_the_password_itself_fits():
    kept = passwords.hash_password("päßword 🔑")

    assert kept.startswith("$argon2id$")
    assert passwords.password_fits("päßword 🔑", kept)
    assert not passwords.password_fits("passwort", kept)
    assert not passwords.password_fits("", None)
