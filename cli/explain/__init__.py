"""Why a call goes where it goes, hop by hop: what is decided now, or was for a past request."""
