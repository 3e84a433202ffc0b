//! `DirectoryService`.

use tonic::{Request, Response};

use super::caller::Proof;
use super::convert::{count, wait};
use super::{Answer, Services};
use crate::domain::calls::{
    CreateUser, PageRequest, PutRole, SetPassword, SetUserRoles, UpdateUser, UserTarget,
};
use crate::pb;
use crate::pb::directory_service_server::DirectoryService;

#[tonic::async_trait]
impl DirectoryService for Services {
    async fn create_user(
        &self,
        request: Request<pb::CreateUserRequest>,
    ) -> Answer<pb::CreateUserResponse> {
        let origin = self.callers.origin(&request, Proof::Any)?;
        let asked = CreateUser::from(request.into_inner());
        let user = self.core.create_user(&origin, asked).await?;
        Ok(Response::new(pb::CreateUserResponse { user: Some(user.into()) }))
    }

    async fn get_user(&self, request: Request<pb::GetUserRequest>) -> Answer<pb::GetUserResponse> {
        let origin = self.callers.origin(&request, Proof::Any)?;
        let target = UserTarget::from(request.into_inner());
        let user = self.core.get_user(&origin, target).await?;
        Ok(Response::new(pb::GetUserResponse { user: Some(user.into()) }))
    }

    async fn list_users(
        &self,
        request: Request<pb::ListUsersRequest>,
    ) -> Answer<pb::ListUsersResponse> {
        let origin = self.callers.origin(&request, Proof::Any)?;
        let pb::ListUsersRequest { realm, page_size, page_token } = request.into_inner();
        let page = PageRequest { size: page_size, token: page_token };
        Ok(Response::new(self.core.list_users(&origin, &realm, page).await?.into()))
    }

    async fn update_user(
        &self,
        request: Request<pb::UpdateUserRequest>,
    ) -> Answer<pb::UpdateUserResponse> {
        let origin = self.callers.origin(&request, Proof::Any)?;
        let asked = UpdateUser::try_from(request.into_inner())?;
        let user = self.core.update_user(&origin, asked).await?;
        Ok(Response::new(pb::UpdateUserResponse { user: Some(user.into()) }))
    }

    async fn unlock_user(
        &self,
        request: Request<pb::UnlockUserRequest>,
    ) -> Answer<pb::UnlockUserResponse> {
        let origin = self.callers.origin(&request, Proof::Any)?;
        let pb::UnlockUserRequest { user_id } = request.into_inner();
        self.core.unlock_user(&origin, &user_id).await?;
        Ok(Response::new(pb::UnlockUserResponse {}))
    }

    async fn set_password(
        &self,
        request: Request<pb::SetPasswordRequest>,
    ) -> Answer<pb::SetPasswordResponse> {
        let origin = self.callers.origin(&request, Proof::Any)?;
        let asked = SetPassword::from(request.into_inner());
        let revoked_grant_count = count(self.core.set_password(&origin, asked).await?);
        Ok(Response::new(pb::SetPasswordResponse { revoked_grant_count }))
    }

    async fn delete_user(
        &self,
        request: Request<pb::DeleteUserRequest>,
    ) -> Answer<pb::DeleteUserResponse> {
        let origin = self.callers.origin(&request, Proof::Any)?;
        let pb::DeleteUserRequest { user_id, skip_wait } = request.into_inner();
        self.core.delete_user(&origin, &user_id, wait(skip_wait)).await?;
        Ok(Response::new(pb::DeleteUserResponse {}))
    }

    async fn set_user_roles(
        &self,
        request: Request<pb::SetUserRolesRequest>,
    ) -> Answer<pb::SetUserRolesResponse> {
        let origin = self.callers.origin(&request, Proof::Any)?;
        let asked = SetUserRoles::from(request.into_inner());
        let user = self.core.set_user_roles(&origin, asked).await?;
        Ok(Response::new(pb::SetUserRolesResponse { user: Some(user.into()) }))
    }

    async fn put_role(&self, request: Request<pb::PutRoleRequest>) -> Answer<pb::PutRoleResponse> {
        let origin = self.callers.origin(&request, Proof::Any)?;
        let asked = PutRole::try_from(request.into_inner())?;
        let role = self.core.put_role(&origin, asked).await?;
        Ok(Response::new(pb::PutRoleResponse { role: Some(role.into()) }))
    }

    async fn delete_role(
        &self,
        request: Request<pb::DeleteRoleRequest>,
    ) -> Answer<pb::DeleteRoleResponse> {
        let origin = self.callers.origin(&request, Proof::Any)?;
        let pb::DeleteRoleRequest { realm, role_id, skip_wait } = request.into_inner();
        self.core.delete_role(&origin, &realm, &role_id, wait(skip_wait)).await?;
        Ok(Response::new(pb::DeleteRoleResponse {}))
    }

    async fn list_roles(
        &self,
        request: Request<pb::ListRolesRequest>,
    ) -> Answer<pb::ListRolesResponse> {
        let origin = self.callers.origin(&request, Proof::Any)?;
        let pb::ListRolesRequest { realm, page_size, page_token } = request.into_inner();
        let page = PageRequest { size: page_size, token: page_token };
        Ok(Response::new(self.core.list_roles(&origin, &realm, page).await?.into()))
    }
}
